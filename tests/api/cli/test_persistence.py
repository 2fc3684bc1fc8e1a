"""What follows a topic outlives its broker, and a group that has given the member up."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.support.broker_process import BrokerProcess, environment
from tests.support.holding_proxy import HoldingProxy
from tests.support.written_topics import WrittenTopics

TIDELOG = (sys.executable, "-P", "-m", "tidelog.api.cli")
WAYS = {
    "consume": ["consume", "t", "-f"],
    "a group": ["consume", "t", "-f", "--group", "g"],
    "replay": ["replay", "t", "-f"],
}


def write(broker: BrokerProcess, value: str) -> None:
    with broker.client() as http:
        body = {"records": [{"value_text": value}]}
        http.post("/v1/topics/t/records", json=body).raise_for_status()


@contextmanager
def start(words: list[str], url: str) -> Iterator[subprocess.Popen[bytes]]:
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*TIDELOG, *words, "--server", url], stdout=pipe, stderr=pipe, env=environment()
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def own(start_broker: Callable[..., BrokerProcess]) -> BrokerProcess:
    broker = start_broker()
    with broker.client() as http:
        http.post("/v1/topics", json={"name": "t", "partitions": 1}).raise_for_status()
    return broker


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("way", WAYS)
def test_a_broker_that_comes_back(own: BrokerProcess, way: str, end: str) -> None:
    write(own, "before")
    with start(WAYS[way], own.url) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"\tbefore\n"
        getattr(own, end)()
        said = process.stderr.readline()
        assert said.endswith(b"; it is tried again until one does\n")
        own.start_again()
        write(own, "after")
        line = process.stdout.readline()
        # A group commits a record with the poll after it, which the end may have come before.
        while way == "a group" and line == b"\tbefore\n":
            line = process.stdout.readline()
        assert line == b"\tafter\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[0] == b""
    assert process.returncode == 130


def records_of(broker: BrokerProcess, topic: str, count: int) -> list[str]:
    """All, once there are so many."""
    path = f"/v1/topics/{topic}/partitions/0/records"
    with broker.client() as http:
        while True:
            http.get(path, params={"offset": count - 1, "reset": "earliest", "wait_ms": 30_000})
            found = http.get(path, params={"value": "text"}).json()["records"]
            if len(found) >= count:
                return [one["value_text"] for one in found]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_copy_goes_on_too(own: BrokerProcess, end: str) -> None:
    write(own, "before")
    with own.client() as http:
        http.post("/v1/topics", json={"name": "u"}).raise_for_status()
    with start(["copy", "t", "u", "-f"], own.url) as process:
        assert process.stderr is not None
        assert records_of(own, "u", 1) == ["before"]
        getattr(own, end)()
        assert process.stderr.readline().endswith(b"; it is tried again until one does\n")
        own.start_again()
        write(own, "after")
        assert records_of(own, "u", 2) == ["before", "after"]
        write(own, "last")
        assert records_of(own, "u", 3) == ["before", "after", "last"]
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read()
    assert process.returncode == 143
    assert said.startswith(b"tidelog: terminated; ")


def test_a_copy_whose_answer_was_lost_writes_nothing_twice(own: BrokerProcess) -> None:
    write(own, "before")
    with own.client() as http:
        http.post("/v1/topics", json={"name": "u"}).raise_for_status()
    with (
        HoldingProxy(own.url, held="POST /v1/topics/u/records") as proxy,
        start(["copy", "t", "u", "-f"], proxy.url) as process,
    ):
        assert proxy.came.wait(60)
        own.kill()
        own.start_again()
        write(own, "after")
        assert records_of(own, "u", 2) == ["before", "after"]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 143
    assert records_of(own, "u", 2) == ["before", "after"]


def test_a_group_that_has_given_the_member_up(
    broker: BrokerProcess, topics: WrittenTopics, http: httpx.Client
) -> None:
    topic = topics.new()
    topics.write(topic, [{"value_text": "one"}])
    words = ["consume", topic, "-f", "--group", topic]
    with HoldingProxy(broker.url) as proxy, start(words, proxy.url) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\tone\n"
        proxy.wait_for("/poll", times=2)
        [member] = http.get(f"/v1/groups/{topic}").json()["members"]
        http.delete(f"/v1/groups/{topic}/members/{member['member_id']}").raise_for_status()
        topics.write(topic, [{"value_text": "two"}])
        # The poll that commits the first one may not have got to the broker yet.
        while (line := process.stdout.readline()) == b"\tone\n":
            pass
        assert line == b"\ttwo\n"
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60) == (b"", b"")
    assert process.returncode == 143
    assert http.get(f"/v1/groups/{topic}").json()["members"] == []


@pytest.mark.parametrize("way", WAYS)
def test_a_broker_that_was_never_there(way: str) -> None:
    with start(WAYS[way], "http://127.0.0.1:1") as process:
        stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert stderr.startswith(b"tidelog: no broker answers at ")
