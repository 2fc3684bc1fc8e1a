"""How ``tidelog consume`` ends when somebody or something ends it."""

from __future__ import annotations

import signal
import subprocess
import sys

import httpx
import pytest

from tests.support.broker_process import BrokerProcess, environment
from tests.support.command_line import tidelog_here
from tests.support.foreign_server import ForeignServer
from tests.support.kafka_wire import Wire
from tests.support.odd_batches import BODY, BROKEN_INSIDE, batch
from tests.support.written_topics import WrittenTopics

TIDELOG = (sys.executable, "-P", "-m", "tidelog.api.cli")


@pytest.fixture
def topic(topics: WrittenTopics) -> str:
    """A hundred records of a thousand bytes."""
    topic = topics.new()
    topics.write(topic, [{"value_text": f"{n:0>1000}"} for n in range(100)])
    return topic


def members(http: httpx.Client, group: str) -> list[str]:
    return [one["member_id"] for one in http.get(f"/v1/groups/{group}").json()["members"]]


@pytest.fixture(params=[(), ("--group",)])
def consume(request: pytest.FixtureRequest, broker: BrokerProcess, topic: str) -> list[str]:
    """The words of a command, for a group and for none."""
    group = [*request.param, topic] if request.param else []
    return [*TIDELOG, "consume", topic, "--server", broker.url, *group]


def test_a_full_disk(consume: list[str], http: httpx.Client, topic: str) -> None:
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            consume, stdout=full, stderr=subprocess.PIPE, env=environment(), timeout=60
        )
    said = b"tidelog: cannot write to standard output: No space left on device\n"
    assert (ended.returncode, ended.stderr) == (1, said)
    if "--group" in consume:
        assert members(http, topic) == []
        assert http.get(f"/v1/groups/{topic}/offsets").json() == {"offsets": []}


def test_a_reader_that_has_seen_enough(consume: list[str], http: httpx.Client, topic: str) -> None:
    process = subprocess.Popen(
        [*consume, "--follow"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        assert process.stdout.readline() == b"\t%0*d\n" % (1000, 0)
        process.stdout.close()
        if "--group" not in consume:
            # It finds out with the next record.
            http.post(f"/v1/topics/{topic}/records", json={"records": [{"value": 1}]})
        assert process.stderr.read() == b""
    assert process.returncode == 1
    if "--group" in consume:
        assert members(http, topic) == []


def test_an_interrupt(consume: list[str], http: httpx.Client, topic: str) -> None:
    process = subprocess.Popen(
        [*consume, "--follow"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    assert process.stdout is not None
    for n in range(100):
        assert process.stdout.readline() == b"\t%0*d\n" % (1000, n)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == (b"", b"")
    assert process.returncode == 130
    if "--group" in consume:
        assert members(http, topic) == []


def test_a_topic_that_is_deleted(http: httpx.Client, broker: BrokerProcess, topic: str) -> None:
    process = subprocess.Popen(
        [*TIDELOG, "replay", topic, "--follow", "--server", broker.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None
    for n in range(100):
        assert process.stdout.readline() == b"\t%0*d\n" % (1000, n)
    http.delete(f"/v1/topics/{topic}").raise_for_status()
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (1, b"")
    assert stderr.startswith(f"tidelog: there is no topic '{topic}'".encode())


@pytest.mark.parametrize("flags", [("-n", "2"), ("-n", "2", "--follow")])
def test_a_stream_that_ends_with_an_error(flags: tuple[str, ...]) -> None:
    """What came before it is printed."""
    record = b'{"partition":0,"offset":0,"timestamp":5,"key":"k","value_text":"v","headers":{}}'
    error = b'{"error":{"code":"corrupt_batch","message":"offset 7 is damaged","details":{}}}'
    stream = b"data: %b\n\nevent: error\ndata: %b\n\n" if "--follow" in flags else b"%b\n%b\n"
    with ForeignServer(b"HTTP/1.1 200 OK\r\n\r\n" + stream % (record, error)) as server:
        ended = tidelog_here("replay", "t", *flags, "--server", server.url)
    assert ended == (1, b"k\tv\n", "tidelog: offset 7 is damaged\n")


def test_letters_that_the_locale_does_not_have(
    http: httpx.Client, broker: BrokerProcess, topic: str
) -> None:
    """Only what is shown as text: records are bytes."""
    body = {"topics": [topic]}
    http.post("/v1/groups/gruppe-ü/members", json=body).raise_for_status()
    ended = subprocess.run(
        [*TIDELOG, "group", "list", "--server", broker.url],
        capture_output=True,
        env=environment({"PYTHONIOENCODING": "ascii"}),
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"gruppe-\\xfc\t" in ended.stdout


class TestWhatCannotBeRead:
    """It ends the command after all that comes before, or is left out; both are said."""

    VALUES = tuple(f"k\t{str(n) * 40}\n" for n in range(3))

    @pytest.fixture(params=["consume", "consume --group g", "replay"])
    def words(
        self, request: pytest.FixtureRequest, broker: BrokerProcess, topics: WrittenTopics
    ) -> list[str]:
        topic = topics.new()
        wire = Wire(broker.kafka)
        good = batch(BODY)
        wire.produce(topic, good, BROKEN_INSIDE["gzip that is cut short"], good)
        wire.close()
        command, *options = request.param.replace(" g", f" {topic}").split()
        return [*TIDELOG, command, topic, "--server", broker.url, *options]

    def run(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, capture_output=True, text=True, env=environment(), timeout=60, check=False
        )

    def test_it_ends_there(self, words: list[str]) -> None:
        ended = self.run(words)
        assert ended.stdout == "".join(self.VALUES)
        topic = words[words.index("--server") - 1]
        assert ended.stderr.startswith(f"tidelog: offsets 3 to 5 of {topic}-0 cannot be read: gzip")
        assert ended.stderr.endswith("; --skip-corrupt leaves them out\n")
        assert ended.returncode == 1

    def test_it_is_left_out(self, words: list[str]) -> None:
        ended = self.run([*words, "--skip-corrupt"])
        assert ended.stdout == "".join(self.VALUES * 2)
        topic = words[words.index("--server") - 1]
        assert ended.stderr.startswith(f"tidelog: offsets 3 to 5 of {topic}-0 are left out: gzip")
        assert len(ended.stderr.splitlines()) == 1
        assert ended.returncode == 0

    def test_it_is_left_out_while_following(self, words: list[str]) -> None:
        with subprocess.Popen(
            [*words, "--skip-corrupt", "--follow"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        ) as process:
            assert process.stdout is not None
            assert [process.stdout.readline() for _ in range(6)] == [*self.VALUES * 2]
            assert process.stderr is not None
            assert "are left out" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=60) == ("", "")
