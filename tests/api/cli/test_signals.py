"""Signals end a command: it leaves its group at once and quietly, a second one ends it there."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable

import httpx
import pytest

from tests.support.broker_process import BrokerProcess, environment
from tests.support.holding_proxy import HoldingProxy
from tests.support.terminal import INTERRUPT, Terminal
from tests.support.written_topics import WrittenTopics

TIDELOG = (sys.executable, "-P", "-m", "tidelog.api.cli")
STATUSES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
every_signal = pytest.mark.parametrize("number", STATUSES)


@pytest.fixture
def topic(topics: WrittenTopics) -> str:
    topic = topics.new()
    topics.write(topic, [{"value_text": "v"}])
    return topic


def follow(topic: str, url: str, group: str = "") -> subprocess.Popen[bytes]:
    """Consumes as a member of a group that is called as the topic, unless it says another."""
    words = [*TIDELOG, "consume", topic, "--follow", "--group", group or topic, "--server", url]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, stdout=pipe, stderr=pipe, env=environment())


def members(http: httpx.Client, group: str) -> int:
    return len(http.get(f"/v1/groups/{group}").json()["members"])


@every_signal
def test_in_a_long_poll(
    broker: BrokerProcess, http: httpx.Client, topic: str, number: signal.Signals
) -> None:
    with HoldingProxy(broker.url) as proxy, follow(topic, proxy.url) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\tv\n"
        proxy.wait_for("/poll", times=2)
        assert members(http, topic) == 1
        process.send_signal(number)
        assert process.communicate(timeout=60) == (b"", b"")
    assert process.returncode == STATUSES[number]
    assert members(http, topic) == 0


@every_signal
def test_before_it_knows_which_member_it_is(
    broker: BrokerProcess, http: httpx.Client, topic: str, number: signal.Signals
) -> None:
    with (
        HoldingProxy(broker.url, held=f"POST /v1/groups/{topic}/members ") as proxy,
        follow(topic, proxy.url) as process,
    ):
        assert proxy.came.wait(60)
        assert members(http, topic) == 1
        process.send_signal(number)
        assert process.communicate(timeout=60) == (b"", b"")
    assert process.returncode == STATUSES[number]
    assert members(http, topic) == 0


@every_signal
def test_a_second_one_ends_it_at_once(
    broker: BrokerProcess, topic: str, number: signal.Signals
) -> None:
    with (
        HoldingProxy(broker.url, held="DELETE ") as proxy,
        follow(topic, proxy.url) as process,
    ):
        proxy.wait_for("/poll")
        process.send_signal(number)
        assert proxy.came.wait(60)
        process.send_signal(number)
        assert process.communicate(timeout=60)[1] == b""
    assert process.returncode == -number


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
def test_a_broker_that_does_not_answer_is_not_waited_for(
    start_broker: Callable[..., BrokerProcess], how: signal.Signals
) -> None:
    broker = start_broker()
    with broker.client() as http:
        http.post("/v1/topics", json={"name": "t"}).raise_for_status()
    with HoldingProxy(broker.url) as proxy, follow("t", proxy.url) as process:
        proxy.wait_for("/poll")
        broker.process.send_signal(how)
        if how == signal.SIGKILL:
            broker.process.wait(60)
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 143
    # Of a broker that is gone the command may learn before the signal comes.
    assert stderr == b"" or how == signal.SIGKILL


def test_a_last_commit_that_fails(broker: BrokerProcess, http: httpx.Client, topic: str) -> None:
    """It is told, and the member leaves all the same."""
    body = b'{"error":{"code":"storage_failed","message":"the disk is full","details":{}}}'
    head = b"HTTP/1.1 507 Insufficient Storage\r\nContent-Length: %d\r\n\r\n" % len(body)
    words = [*TIDELOG, "consume", topic, "--group", topic, "--server"]
    with HoldingProxy(broker.url, held="/commit ", instead=head + body) as proxy:
        ended = subprocess.run(
            [*words, proxy.url], capture_output=True, env=environment(), timeout=60
        )
    assert ended.stdout == b"\tv\n"
    assert ended.stderr == b"tidelog: the disk is full\n"
    assert ended.returncode == 1
    assert members(http, topic) == 0


def test_what_is_to_be_ignored_stays_ignored(
    broker: BrokerProcess, http: httpx.Client, topic: str
) -> None:
    """As ``nohup`` starts its command."""
    words = [*TIDELOG, "consume", topic, "-f", "--group", topic, "-n", "2", "--server", broker.url]
    with subprocess.Popen(
        ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *words],
        stdout=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\tv\n"
        process.send_signal(signal.SIGHUP)
        body = {"records": [{"value_text": "w"}]}
        http.post(f"/v1/topics/{topic}/records", json=body).raise_for_status()
        assert process.communicate(timeout=60)[0] == b"\tw\n"
    assert process.returncode == 0


def test_ctrl_c_at_a_terminal(broker: BrokerProcess, http: httpx.Client, topic: str) -> None:
    words = [*TIDELOG, "consume", topic, "--follow", "--group", topic, "--server"]
    with HoldingProxy(broker.url) as proxy, Terminal([*words, proxy.url]) as terminal:
        terminal.read_until(b"v\r\n")
        proxy.wait_for("/poll", times=2)
        terminal.type(INTERRUPT)
        assert terminal.end() == 130
    assert terminal.seen.endswith(b"v\r\n^C")
    assert members(http, topic) == 0


NOT_INTERRUPTED = """
import os, signal
from tidelog.api.cli import interrupts
interrupts.install()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
try:
    print("ready", flush=True)
    os.read(0, 1)
except KeyboardInterrupt:
    print("ended")
"""


SWALLOWED = """
import os, signal
from tidelog.api.cli import interrupts
interrupts.install()

class Gone:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        sum(range(10))

try:
    Gone()
    print("ready", flush=True)
    os.read(os.pipe()[0], 1)
except KeyboardInterrupt:
    print("ended")
"""


def test_one_that_is_swallowed() -> None:
    """What is raised while an object is done away with goes nowhere."""
    words = [sys.executable, "-P", "-c", SWALLOWED]
    ended = subprocess.run(words, capture_output=True, env=environment(), timeout=60)
    assert (ended.returncode, ended.stdout) == (0, b"ready\nended\n")


def test_one_that_does_not_interrupt_what_the_command_waits_for() -> None:
    """As one that comes just before: here another thread gets it."""
    pipe = subprocess.PIPE
    words = [sys.executable, "-P", "-c", NOT_INTERRUPTED]
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, env=environment()) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == b"ended\n"
    assert process.returncode == 0
