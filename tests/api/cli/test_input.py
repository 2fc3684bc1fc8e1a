"""The input files of real people: taken, or refused by their line with a true count."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.support.broker_process import BrokerProcess, environment
from tests.support.command_line import tidelog
from tests.support.cutting_proxy import CuttingProxy
from tests.support.written_topics import WrittenTopics
from tidelog.api.cli.input_lines import LINE_BYTES_MAX, BadLine, Line, lines_of

NDJSON = ("--format", "ndjson")
VALUES = (*NDJSON, "--envelope", "never")
RECORDS = (*NDJSON, "--envelope", "always")
CSV = ("--format", "csv")
MARK = b"\xef\xbb\xbf"
DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    ("flags", "content", "stored"),
    [
        ((), MARK + b"one\n" + MARK + b"two", [b"one", MARK + b"two"]),
        (NDJSON, MARK + b'{"value":1}\n', [b"1"]),
        (NDJSON, b"\n \r\n\t\n1\n\n2", [b"1", b"2"]),
        (CSV, MARK + b"a,b\n1,2\n", [b'{"a": "1", "b": "2"}']),
        (CSV, MARK + b'"a",b\n1,2\n', [b'{"a": "1", "b": "2"}']),
        (CSV, b"\n\r\na,b\n\n1,2\r\n\n3,4", [b'{"a": "1", "b": "2"}', b'{"a": "3", "b": "4"}']),
        (CSV, b"a,b\n", []),
        (CSV, b"a,b", []),
        (CSV, b"", []),
        (CSV, MARK, []),
        (NDJSON, b"", []),
        ((), b"", []),
        (CSV, b"a,\n1,\n", [b'{"a": "1", "": ""}']),
        (
            CSV,
            b'a\n"say ""x"" now"\n5" pipe\n',
            [b'{"a": "say \\"x\\" now"}', b'{"a": "5\\" pipe"}'],
        ),
        (CSV, b"a\n1.10\nnull\n", [b'{"a": "1.10"}', b'{"a": "null"}']),
        (CSV, b"a\n\x00\n", [b'{"a": "\\u0000"}']),
        (CSV, "ä\nß\n".encode(), ['{"ä": "ß"}'.encode()]),
        (CSV, b"a\n" + b"x" * 140_000, [b'{"a": "' + b"x" * 140_000 + b'"}']),
        ((*CSV, "--delimiter", ";"), b"a;b\n1,5;2\n", [b'{"a": "1,5", "b": "2"}']),
        ((*CSV, "--delimiter", "tab"), b"a\tb\n1\t2\n", [b'{"a": "1", "b": "2"}']),
        ((*CSV, "--delimiter", "\\t"), b"a\tb\n1\t2\n", [b'{"a": "1", "b": "2"}']),
        ((*CSV, "--timestamp-column", "at"), b"at\n007\n", [b'{"at": "007"}']),
    ],
)
def test_taken(
    topics: WrittenTopics, flags: tuple[str, ...], content: bytes, stored: list[bytes]
) -> None:
    topic = topics.new()
    topics.run("produce", topic, *flags, stdin=content)
    assert topics.values(topic) == stored


REFUSED = [
    (VALUES, b"", b"1", b"not json", "is not JSON: Expecting value at column 1"),
    (VALUES, b"", b"1", b'{"a":1', "is not JSON: Expecting ',' delimiter at column 7"),
    (VALUES, b"", b"1", b"1 2", "is not JSON: Extra data at column 3"),
    (VALUES, b"", b"1", b'1},{"value":2', "is not JSON: Extra data at column 2"),
    (VALUES, b"", b"1", b"NaN", "is not JSON"),
    (VALUES, b"", b"1", b'"\\ud800"', "has half a surrogate pair in a string, which is not UTF-8"),
    (VALUES, b"", b"1", b'"\xff"', "is not UTF-8 at byte 2"),
    (VALUES, b"", b"1", DEEP, "is nested too deeply"),
    (NDJSON, b"", b'{"value":1}', b'{"value":%b}' % DEEP, "is nested too deeply"),
    (NDJSON, b"", b'{"value":1}', b'{"value":1,"name":2}', "is not a record: Object contains unk"),
    (NDJSON, b"", b'{"value":1}', b"[1]", "is not a record: Expected `object`, got `array`"),
    (NDJSON, b"", b'{"value":1}', b'{"key":"k"}', "is a record without a value"),
    (NDJSON, b"", b'{"value":1}', b'{"value":', "is not JSON"),
    (RECORDS, b"", b'{"value":1}', b'{"value":1,"offset":2}', "unknown field `offset`"),
    (RECORDS, b"", b'{"value":1}', b'{"value":1,"partition":9}', "is refused: "),
    (RECORDS, b"", b'{"value":1}', b'{"value":1,"timestamp":-1}', "is refused: timestamp must be"),
    (RECORDS, b"", b'{"value":1}', b'{"value":1,"headers":5}', "is refused: "),
    (RECORDS, b"", b'{"value":1}', b'{"value":1,"value_text":"a"}', "is refused: give one of"),
    (RECORDS, b"", b'{"value":1}', b'{"value_base64":"*"}', "value_base64 is not base64"),
    ((), b"", b"small", b"x" * 1_100_000, "is refused: "),
    (CSV, b"a,b\n", b"1,2", b"3", "has 1 field, but the header has 2"),
    (CSV, b"a,b\n", b"1,2", b"3,4,5", "has 3 fields, but the header has 2"),
    (CSV, b"a,b\n", b'"1\n",2', b"3", "has 1 field, but the header has 2"),
    (CSV, b"a\n", b"1", b'"x', "begins a quoted field that never ends"),
    (CSV, b"a\n", b"1", b'"x"y', "is not CSV: ',' expected after '\"'"),
    (CSV, b"a\n", b"1", b"x\ry", "has a carriage return outside quotes that ends no line"),
    (CSV, b"a\n", b"1", b"\xe9", "is not UTF-8 at byte 1"),
    ((*CSV, "--timestamp-column", "a"), b"a\n", b"1", b"now", "has 'now' in column a, which is"),
    ((*CSV, "--timestamp-column", "a"), b"a\n", b"1", b"1_0", "which is not milliseconds"),
]


@pytest.mark.parametrize("before", [0, 1, 1000, 1203])
@pytest.mark.parametrize(("flags", "head", "good", "bad", "reason"), REFUSED)
def test_refused_by_its_line(
    topics: WrittenTopics,
    flags: tuple[str, ...],
    head: bytes,
    good: bytes,
    bad: bytes,
    reason: str,
    before: int,
) -> None:
    if not before and flags == NDJSON:
        flags = RECORDS
    content = head + (good + b"\n") * before + bad + b"\n" + (good + b"\n") * 300
    line = content[: len(head) + (len(good) + 1) * before].count(b"\n") + 1
    topic = topics.new()
    said = topics.run("produce", topic, *flags, stdin=content, status=1).stderr
    assert said.startswith(f"tidelog: line {line} ")
    assert reason in said
    assert said.count("\n") == 1
    tell = {0: "; nothing was written\n", 1: "; 1 record before it is written\n"}
    assert said.endswith(tell.get(before, f"; {before} records before it are written\n"))
    assert topics.end(topic) == before


@pytest.mark.parametrize(
    ("flags", "content", "said"),
    [
        (CSV, b"a,b,a\n1,2,3\n", "line 1 names column 'a' twice"),
        (CSV, b",,\n1,2,3\n", "line 1 names column '' twice"),
        (CSV, b"\n\na,b,a\n", "line 3 names column 'a' twice"),
        ((*CSV, "--key-column", "no"), b"a,b\n", "line 1 is the header, and there is no column"),
        ((*CSV, "--timestamp-column", "no"), b"a,b\n", "there is no column 'no'; there are a, b"),
    ],
)
def test_refused_headers(
    topics: WrittenTopics, flags: tuple[str, ...], content: bytes, said: str
) -> None:
    topic = topics.new()
    stderr = topics.run("produce", topic, *flags, stdin=content, status=1).stderr
    assert said in stderr
    assert stderr.endswith("; nothing was written\n")
    assert topics.end(topic) == 0


@pytest.mark.parametrize("flags", [(), NDJSON, CSV])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "utf-32-be"])
def test_other_encodings_are_refused_by_name(
    topics: WrittenTopics, flags: tuple[str, ...], encoding: str
) -> None:
    content = "\ufeff{}\n".encode(encoding) if encoding.endswith("be") else "{}\n".encode(encoding)
    said = topics.run("produce", topics.new(), *flags, stdin=content, status=1).stderr
    assert f"line 1 begins as {encoding[:6].upper()} does" in said
    assert said.endswith("; nothing was written\n")


class Endless(io.RawIOBase):
    """A stream that never ends a line after the first."""

    def __init__(self) -> None:
        self._begun = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        buffer[:] = b"x" * len(buffer)
        if not self._begun:
            buffer[1:2] = b"\n"
        self._begun = True
        return len(buffer)


def test_a_line_without_an_end_is_not_read_to_its_end() -> None:
    lines = lines_of(io.BufferedReader(Endless()))
    assert next(lines) == Line(1, b"x\n")
    with pytest.raises(BadLine, match=f"line 2 is longer than {LINE_BYTES_MAX} bytes"):
        next(lines)


def test_a_quote_that_is_never_closed_is_not_read_to_its_end(topics: WrittenTopics) -> None:
    content = b'a\n1\n"' + (b"x" * 1023 + b"\n") * (LINE_BYTES_MAX // 1024 + 1)
    topic = topics.new()
    said = topics.run("produce", topic, *CSV, stdin=content, status=1).stderr
    assert "line 3 begins a field longer than" in said
    assert said.endswith("is a quote missing?; 1 record before it is written\n")
    assert topics.end(topic) == 1


class TestEnvelope:
    @pytest.mark.parametrize(
        "line",
        [
            '{"key":"colour","comment":"a document"}',
            '{"metric":"cpu","value":0.5}',
            '{"key":"user-7"}',
            '{"topic":"news","value":1}',
            '{"offset":1,"value":1}',
            '{"headers":{}}',
            "{}",
            "null",
            '"value"',
        ],
    )
    def test_what_is_no_record_is_a_value(self, topics: WrittenTopics, line: str) -> None:
        topic = topics.new()
        lines = [line, '{"value":1}', "null"]
        topics.run("produce", topic, *NDJSON, stdin="\n".join(lines).encode())
        assert topics.values(topic) == [one.encode() for one in lines]

    def test_never_takes_records_for_values(self, topics: WrittenTopics) -> None:
        topic = topics.new()
        topics.run("produce", topic, *VALUES, stdin=b'{"value":1}\n{"key":"a","value":null}')
        assert topics.values(topic) == [b'{"value":1}', b'{"key":"a","value":null}']

    def test_only_null_is_a_tombstone(self, topics: WrittenTopics) -> None:
        topic = topics.new()
        lines = ('{"key":"a","value":null}', '{"key":"b","value_text":"null"}')
        topics.run("produce", topic, *NDJSON, stdin="\n".join(lines).encode())
        assert topics.values(topic) == [None, b"null"]

    def test_what_a_record_says_goes_before_what_the_flags_say(self, topics: WrittenTopics) -> None:
        topic = topics.new()
        lines = [
            {"value": 1},
            {"value": 2, "key_text": "own", "headers": {"h": "own"}},
            {"value": 3, "key": None, "headers": None},
        ]
        content = "\n".join(map(json.dumps, lines)).encode()
        topics.run("produce", topic, *NDJSON, "-k", "all", "-H", "h=all", stdin=content)
        found = topics.records(topic)
        assert [(one.get("key"), one["headers"]) for one in found] == [
            ("all", {"h": "all"}),
            ("own", {"h": "own"}),
            (None, {}),
        ]

    def test_lines_of_the_http_api(self, topics: WrittenTopics) -> None:
        """Of a page of one partition, and of what a member of a group polls."""
        topic = topics.new()
        place = '"offset":7,"timestamp":5,'
        lines = [
            "{%s}" % (place + '"key":"a","value":1.10,"headers":{}'),
            '{"topic":"x","partition":8,%s}' % (place + '"key":"b","value":2,"headers":{}'),
        ]
        topics.run("produce", topic, *NDJSON, stdin="\n".join(lines).encode())
        found = topics.records(topic)
        assert [one["key"] for one in found] == ["a", "b"]
        assert all(one["timestamp"] != 5 for one in found)

    def test_values_of_the_command_line_are_numbered(self, topics: WrittenTopics) -> None:
        topic = topics.new()
        said = topics.run("produce", topic, "1", "[", *NDJSON, status=1).stderr
        assert said.startswith("tidelog: value 2 is not JSON")
        assert said.endswith("; 1 record before it is written\n")
        assert topics.values(topic) == [b"1"]


class Producing:
    """``tidelog produce`` that is given its input bit by bit."""

    def __init__(self, url: str, topic: str) -> None:
        words = (sys.executable, "-P", "-m", "tidelog.api.cli", "produce", topic, "--server", url)
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
        )

    def give(self, lines: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"line\n" * lines)
        self.process.stdin.flush()

    def said(self) -> str:
        """What it says at its end."""
        said = self.process.communicate(timeout=60)[1].decode()
        assert said.count("\n") == 1
        return said


def is_true(said: str, written: int) -> bool:
    """Whether what is told at the end fits what is written; an answer may be on its way."""
    found = re.search(
        r"; (?:(\d+) records? (?:is|are) written)?"
        r"(?:(?:, and )?whether lines? (\d+)(?: to (\d+))? (?:is|are) written is not known)?\n$",
        said,
    )
    assert found is not None, said
    known, first, last = (None if one is None else int(one) for one in found.groups())
    assert first in (None, (known or 0) + 1)
    return (known or 0) <= written <= (last or first or known or 0)


class TestBrokersThatGo:
    def test_an_answer_that_does_not_come(
        self, topics: WrittenTopics, broker: BrokerProcess
    ) -> None:
        topic = topics.new()
        with CuttingProxy(broker.url, seed=1, lost=1, torn=0) as proxy:
            ended = tidelog("produce", topic, "--server", proxy.url, stdin="1\n2\n3\n")
        assert ended.status == 1
        assert "no broker answers at" in ended.stderr
        assert ended.stderr.endswith("; whether lines 1 to 3 are written is not known\n")
        assert topics.end(topic) == 3

    def test_between_two_batches(self, start_broker: Callable[..., BrokerProcess]) -> None:
        broker = start_broker()
        topics = WrittenTopics(broker)
        topic = topics.new()
        producing = Producing(broker.url, topic)
        producing.give(2000)
        while topics.end(topic) < 2000:
            assert producing.process.poll() is None
        topics.close()
        broker.kill()
        producing.give(5)
        said = producing.said()
        assert producing.process.returncode == 1
        assert "no broker answers at" in said
        assert is_true(said, 2000)

    def test_an_interrupt_says_how_far_it_came(
        self, topics: WrittenTopics, broker: BrokerProcess
    ) -> None:
        topic = topics.new()
        producing = Producing(broker.url, topic)
        producing.give(2010)
        while topics.end(topic) < 2000:
            assert producing.process.poll() is None
        producing.process.send_signal(signal.SIGINT)
        said = producing.said()
        assert producing.process.returncode == 130
        assert said.startswith("tidelog: interrupted; ")
        assert is_true(said, topics.end(topic))

    def test_an_unknown_topic(self, start_broker: Callable[..., BrokerProcess]) -> None:
        broker = start_broker("--set", "auto.create.topics.enable=false")
        ended = tidelog("produce", "nowhere", "--server", broker.url, stdin="x\n" * 1500)
        assert ended.status == 1
        assert ended.stderr.startswith("tidelog: there is no topic 'nowhere'")
        assert ended.stderr.endswith("; nothing was written\n")
