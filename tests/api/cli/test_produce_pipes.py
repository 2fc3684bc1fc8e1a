"""``tidelog produce`` at the end of a pipe and at a keyboard: lines are written as they come."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from tests.support.broker_process import BrokerProcess, environment
from tests.support.terminal import END_OF_INPUT, INTERRUPT, Terminal
from tests.support.written_topics import WrittenTopics

TIDELOG = (sys.executable, "-P", "-m", "tidelog.api.cli")
KINDS = {
    "lines": ((), b"one\n", [b"one"]),
    "ndjson": (("--format", "ndjson"), b'{"a":1}\n\n \n', [b'{"a":1}']),
    "csv": (("--format", "csv"), b"a\n1\n\n", [b'{"a": "1"}']),
    "no end of line yet": ((), b"one\ntw", [b"one"]),
}


@pytest.fixture
def topic(topics: WrittenTopics) -> str:
    return topics.new()


def wait_until_there_are(http: httpx.Client, topic: str, records: int) -> None:
    """The broker tells as soon as there are."""
    path = f"/v1/topics/{topic}/partitions/0/records"
    query = {"offset": records - 1, "wait_ms": 30_000, "reset": "earliest"}
    while True:
        found = http.get(path, params=query).json()
        if found["high_watermark"] >= records:
            return


def produce(broker: BrokerProcess, topic: str, *flags: str) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    words = [*TIDELOG, "produce", topic, "--server", broker.url, *flags]
    return subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, env=environment())


def send(process: subprocess.Popen[bytes], content: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(content)
    process.stdin.flush()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_there_is_written_when_the_input_pauses(
    broker: BrokerProcess, http: httpx.Client, topics: WrittenTopics, topic: str, kind: str
) -> None:
    flags, content, stored = KINDS[kind]
    with produce(broker, topic, *flags) as process:
        send(process, content)
        wait_until_there_are(http, topic, 1)
        assert topics.values(topic) == stored
        assert process.poll() is None


@pytest.mark.parametrize(
    ("number", "status", "what"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_is_told_how_many_are_written(
    broker: BrokerProcess, http: httpx.Client, topic: str, number: int, status: int, what: str
) -> None:
    with produce(broker, topic) as process:
        for count in (1, 2, 3):
            send(process, b"line\n")
            wait_until_there_are(http, topic, count)
        # Their answer may be under way: with the next pause it has come.
        send(process, b"half a li")
        process.send_signal(number)
        assert process.stderr is not None
        said = process.stderr.read().decode()
    assert process.returncode == status
    assert said in (
        f"tidelog: {what}; 3 records are written\n",
        f"tidelog: {what}; 2 records are written, and whether line 3 is written is not known\n",
    )


def test_a_refused_line_ends_it_where_the_input_pauses(
    broker: BrokerProcess, topics: WrittenTopics, topic: str
) -> None:
    with produce(broker, topic, "--format", "ndjson") as process:
        send(process, b'{"value":1}\n{"value":2,"partition":7}\n')
        assert process.stderr is not None
        said = process.stderr.read().decode()
    assert process.returncode == 1
    assert said.startswith("tidelog: line 2 is refused: ")
    assert said.endswith("; 1 record before it is written\n")
    assert topics.values(topic) == [b"1"]


class TestAtAKeyboard:
    @pytest.fixture
    def terminal(self, broker: BrokerProcess, topic: str) -> Iterator[Terminal]:
        with Terminal([*TIDELOG, "produce", topic, "--server", broker.url]) as terminal:
            yield terminal

    def test_each_line_is_written_when_it_is_typed(
        self, terminal: Terminal, http: httpx.Client, topics: WrittenTopics, topic: str
    ) -> None:
        for count, line in enumerate((b"one\n", b"two\n"), 1):
            terminal.type(line)
            wait_until_there_are(http, topic, count)
        terminal.type(END_OF_INPUT)
        assert terminal.end() == 0
        assert topics.values(topic) == [b"one", b"two"]
        said = f"2 records written to {topic}\r\n".encode()
        assert terminal.seen.replace(b"^D\b\b", b"") == b"one\r\ntwo\r\n" + said

    def test_ctrl_c(self, terminal: Terminal, http: httpx.Client, topic: str) -> None:
        terminal.type(b"one\n")
        wait_until_there_are(http, topic, 1)
        terminal.type(INTERRUPT)
        assert terminal.end() == 130
        assert terminal.seen.startswith(b"one\r\n^Ctidelog: interrupted; ")
        assert b"\x1b" not in terminal.seen

    def test_of_another_program_before_the_pipe(
        self, broker: BrokerProcess, http: httpx.Client, topic: str
    ) -> None:
        """Nothing is drawn over what somebody types into ``cat``."""
        pipeline = f'cat | "$0" -P -m tidelog.api.cli produce {topic} --server {broker.url}'
        with Terminal(["sh", "-c", pipeline, sys.executable]) as terminal:
            for count in (1, 2, 3):
                terminal.type(b"line\n")
                wait_until_there_are(http, topic, count)
            terminal.type(END_OF_INPUT)
            assert terminal.end() == 0
        assert b"\x1b" not in terminal.seen
        assert terminal.seen.endswith(f"3 records written to {topic}\r\n".encode())


def test_progress_on_a_terminal_while_much_comes(
    broker: BrokerProcess, topics: WrittenTopics, topic: str
) -> None:
    reading, writing = os.pipe()
    words = [*TIDELOG, "produce", topic, "--server", broker.url]
    with Terminal(words, stdin=reading) as terminal, open(writing, "wb") as pipe:
        os.close(reading)
        while b" records, " not in terminal.seen:
            pipe.write(b"line\n" * 20_000)
            pipe.flush()
            terminal.read_what_is_there()
        pipe.close()
        assert terminal.end() == 0
    assert terminal.seen.rindex(b"\x1b[?25h") > terminal.seen.rindex(b"\x1b[?25l")
    assert terminal.seen.endswith(f"{topics.end(topic)} records written to {topic}\r\n".encode())


TABLE = [
    (("-K", ":"), b"a:1\nb:2:3\n:4\n", [(b"a", b"1"), (b"b", b"2:3"), (b"", b"4")]),
    (("--key-delimiter", "\\t"), b"a\t1", [(b"a", b"1")]),
    (("-K", "::"), b"a:::1\n", [(b"a", b":1")]),
    (("-K", "\\x01"), b"\xff\x01\xfe\n", [(b"\xff", b"\xfe")]),
    (("-K", ":", "-Z"), b"a:\n:b\n", [(b"a", None), (None, b"b")]),
    (("-Z",), b"\nx\n", [(None, None), (None, b"x")]),
    (("-K", ",", "--null", "NULL"), b"a,NULL\nNULL,1\n", [(b"a", None), (None, b"1")]),
    (("--key", "k", "--null", "~"), b"~\n", [(b"k", None)]),
    (("--base64", "value"), b"/w==\n\n", [(None, b"\xff"), (None, b"")]),
    (("-K", ":", "--base64", "key"), b"YQ==:YQ==", [(b"a", b"YQ==")]),
    (("-K", ":", "--base64", "both", "-Z"), b"YQ==:\n", [(b"a", None)]),
]


@pytest.mark.parametrize(("flags", "content", "stored"), TABLE)
def test_keys_and_tombstones_in_lines(
    topics: WrittenTopics,
    topic: str,
    flags: tuple[str, ...],
    content: bytes,
    stored: list[tuple[bytes | None, bytes | None]],
) -> None:
    topics.run("produce", topic, *flags, stdin=content)
    assert topics.pairs(topic) == stored


def test_values_of_the_command_line_have_keys_too(topics: WrittenTopics, topic: str) -> None:
    topics.run("produce", topic, "-K", "=", "a=1", "b=2")
    assert topics.pairs(topic) == [(b"a", b"1"), (b"b", b"2")]


def test_a_tombstone(topics: WrittenTopics, topic: str) -> None:
    topics.run("produce", topic, "--key", "k", "--tombstone", "--header", "why=gone")
    assert topics.pairs(topic) == [(b"k", None)]
    assert topics.records(topic)[0]["headers"] == {"why": "gone"}


@pytest.mark.parametrize("flags", [("value",), ("--format", "ndjson"), ("--format", "csv")])
def test_a_partition(
    topics: WrittenTopics, http: httpx.Client, broker: BrokerProcess, flags: tuple[str, ...]
) -> None:
    topic = topics.new(partitions=3)
    topics.run("produce", topic, "-p", "2", *flags, stdin=b"1\n1\n" if len(flags) == 2 else b"")
    offsets = http.get(f"/v1/topics/{topic}/offsets").json()["offsets"]
    assert [one["offset"] for one in offsets] == [0, 0, offsets[2]["offset"]]
    assert offsets[2]["offset"]


def test_a_partition_of_a_record_of_its_own(topics: WrittenTopics) -> None:
    topic = topics.new(partitions=2)
    line = b'{"value":1,"partition":0}\n{"value":2}\n'
    topics.run("produce", topic, "-p", "1", "--format", "ndjson", stdin=line)
    assert topics.values(topic) == [b"1"]


@pytest.mark.parametrize(
    ("flags", "content", "status", "said"),
    [
        (("-K", ":"), b"a:1\nno key\n", 1, "line 2 has no ':' between a key and a value; 1 record"),
        (("--base64", "value"), b"YQ==\nYQ\n", 1, "line 2 has a value that is not base64; 1 rec"),
        (("--base64", "all"), b"", 2, "--base64 all: expected key, value or both"),
        (("-K", ""), b"", 2, "--key-delimiter has at least one character"),
        (("-K", ":", "--key", "k"), b"", 2, "give --key or --key-delimiter, not both"),
        (("-K", ":", "--format", "csv"), b"", 2, "go with --format lines"),
        (("-Z", "--format", "raw"), b"", 2, "go with --format lines"),
        (("--keep", "time"), b"", 2, "--envelope and --keep go with --format ndjson"),
        (("--keep", "all", "--format", "ndjson"), b"", 2, "expected time, partition or both"),
        (("--tombstone",), b"", 2, "--tombstone needs a --key"),
        (("-p", "9"), b"x", 1, "line 1 is refused: "),
    ],
)
def test_used_wrongly(
    topics: WrittenTopics,
    topic: str,
    flags: tuple[str, ...],
    content: bytes,
    status: int,
    said: str,
) -> None:
    ended = topics.run("produce", topic, *flags, stdin=content, status=status)
    assert said in ended.stderr
