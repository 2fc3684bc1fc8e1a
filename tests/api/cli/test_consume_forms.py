"""``tidelog consume`` and ``replay``: which records, from where to where, and how they look."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.broker_process import BrokerProcess
from tests.support.terminal import Terminal
from tests.support.written_topics import WrittenTopics

START_MS = 1_700_000_000_000
TIDELOG = (sys.executable, "-P", "-m", "tidelog.api.cli")


@pytest.fixture(scope="module")
def odd(topics: WrittenTopics) -> str:
    """Records with and without a key, a value and headers."""
    topic = topics.new()
    sent: list[dict[str, Any]] = [
        {"key": "ada", "value_text": "jam", "headers": {"trace": "a1", "kind": "order"}},
        {"key": "bob", "value": None, "headers": {"trace": "b2"}},
        {
            "value_text": "a\tb\n",
            "headers": [{"name": "n", "value": None}, {"name": "n", "value": "2"}],
        },
        {"key_base64": "/wA=", "value_base64": "/f4=", "headers": {}},
        {"key": "", "value_text": "", "headers": {}},
    ]
    topics.write(topic, [{**one, "timestamp": START_MS + n} for n, one in enumerate(sent)])
    return topic


FORMATS = [
    "%s\\n",
    "%t [%p] at offset %o: key %k: %s\\n",
    "%T %h|",
    "%K,%S;",
    "%R",
    "100%% %s\\t\\x41\\r\\n",
    "é%s\\n",
]


@pytest.mark.parametrize("text", FORMATS)
def test_format_strings_are_those_of_kcat(
    topics: WrittenTopics, broker: BrokerProcess, odd: str, text: str
) -> None:
    if shutil.which("kcat") is None:
        pytest.skip("kcat is not installed")
    words = ["kcat", "-b", broker.kafka, "-C", "-t", odd, "-e", "-q", "-f", text]
    expected = subprocess.run(words, capture_output=True, timeout=60, check=True).stdout
    assert expected
    for flags in (("--format", text), ("-f", text)):
        assert topics.run("consume", odd, *flags).stdout == expected
    assert topics.run("replay", odd, "--format", text).stdout == expected
    assert topics.run("consume", odd, "-f", text, "-g", f"{odd}{text}").stdout == expected


def test_a_format_and_follow(topics: WrittenTopics, odd: str) -> None:
    shown = b"0,1,2,3,4,"
    for flags in (("-f", "-f", "%o,"), ("--follow", "--format", "%o,"), ("--follow", "-f", "%o,")):
        assert topics.run("consume", odd, *flags, "-n", "5").stdout == shown


TEXTS = [
    ((), b"ada\tjam\nbob\t\n\ta\tb\n\n\xff\x00\t\xfd\xfe\n\t\n"),
    (("-K", ":"), b"ada:jam\nbob:\n:a\tb\n\n\xff\x00:\xfd\xfe\n:\n"),
    (
        ("-K", "\\x1f", "--null", "~"),
        b"ada\x1fjam\nbob\x1f~\n~\x1fa\tb\n\n\xff\x00\x1f\xfd\xfe\n\x1f\n",
    ),
    (("--base64", "both"), b"YWRh\tamFt\nYm9i\t\n\tYQliCg==\n/wA=\t/f4=\n\t\n"),
    (("--base64", "value", "--format", "%k=%s;"), b"ada=amFt;bob=;=YQliCg==;\xff\x00=/f4=;=;"),
    (
        ("--null", "NULL", "--format", "%k=%s;"),
        b"ada=jam;bob=NULL;NULL=a\tb\n;\xff\x00=\xfd\xfe;=;",
    ),
    (("--null", "?", "--format", "raw"), b"jam?a\tb\n\xfd\xfe"),
]


@pytest.mark.parametrize(("flags", "shown"), TEXTS)
def test_text(topics: WrittenTopics, odd: str, flags: tuple[str, ...], shown: bytes) -> None:
    assert topics.run("consume", odd, *flags).stdout == shown


@pytest.mark.parametrize(
    ("kept", "what"), [("time", "0"), ("partition", "1"), ("both", "01"), (None, "")]
)
def test_what_of_a_printed_record_is_kept(
    topics: WrittenTopics, kept: str | None, what: str
) -> None:
    first, second = topics.new(partitions=2), topics.new(partitions=2)
    topics.write(
        first, [{"key": f"k{n}", "value": n, "partition": 1, "timestamp": n} for n in range(9)]
    )
    shown = topics.run("consume", first, "--format", "ndjson").stdout
    flags = () if kept is None else ("--keep", kept)
    topics.run("produce", second, "--format", "ndjson", *flags, stdin=shown)
    places = topics.run("consume", second, "--format", "%T %p\n").stdout.decode().split("\n")[:-1]
    times, partitions = zip(*(place.split() for place in places), strict=True)
    assert (sorted(times) == [str(n) for n in range(9)]) == ("0" in what)
    assert (set(partitions) == {"1"}) == ("1" in what)


parts = st.none() | st.binary(max_size=8)


@given(st.lists(st.tuples(parts, parts), min_size=1))
@settings(max_examples=20)
def test_what_is_printed_in_base64_is_taken_in_base64(
    topics: WrittenTopics, pairs: list[tuple[bytes | None, bytes | None]]
) -> None:
    first, second = topics.new(), topics.new()

    def encoded(part: bytes | None) -> str | None:
        return None if part is None else base64.b64encode(part).decode()

    topics.write(
        first,
        [{"key_base64": encoded(key), "value_base64": encoded(value)} for key, value in pairs],
    )
    form = ("-K", ":", "--base64", "both", "--null", "-")
    shown = topics.run("consume", first, *form).stdout
    topics.run("produce", second, *form, stdin=shown)
    assert topics.pairs(second) == pairs


FILTERS = [
    (("--match-key", "^a"), "0"),
    (("--match-key", "a|b"), "01"),
    (("--match-key", ""), "0134"),
    (("--match-value", "a"), "02"),
    (("--match-value", "^$"), "4"),
    (("--match-value", "(?s)a.*b"), "2"),
    (("--match-header", "trace"), "01"),
    (("--match-header", "trace=^b"), "1"),
    (("--match-header", "n=2"), "2"),
    (("--match-header", "trace=.", "--match-header", "kind=^order$"), "0"),
    (("--match-header", "trace", "--match-key", "bob"), "1"),
    (("--match-key", "nobody"), ""),
    (("--match-value", "a", "-n", "1"), "0"),
]


@pytest.mark.parametrize(("flags", "offsets"), FILTERS)
def test_filters(topics: WrittenTopics, odd: str, flags: tuple[str, ...], offsets: str) -> None:
    for command in ("consume", "replay"):
        ended = topics.run(command, odd, "--format", "%o", *flags)
        assert ended.stdout.decode() == offsets


def test_a_group_commits_no_record_that_it_did_not_look_at(topics: WrittenTopics, odd: str) -> None:
    flags = ("--format", "%o,", "--group", f"filtered-{odd}", "--match-value", "a")
    assert topics.run("consume", odd, *flags, "-n", "1").stdout == b"0,"
    assert topics.run("consume", odd, *flags, "-n", "1").stdout == b"2,"
    rest = ("--format", "%o,", "--group", f"filtered-{odd}")
    assert topics.run("consume", odd, *rest).stdout == b"3,4,"
    assert topics.run("consume", odd, *rest).stdout == b""


def test_a_group_of_many_partitions_that_prints_few(topics: WrittenTopics) -> None:
    topic = topics.new(partitions=4)
    topics.write(topic, [{"key": f"k{n}", "value": n, "partition": n % 4} for n in range(100)])
    seen: list[str] = []
    flags = ("--format", "%s\n", "--group", topic)
    for _ in range(5):
        shown = topics.run("consume", topic, *flags, "--match-key", "[05]$", "-n", "3").stdout
        seen += shown.decode().split()
    assert len(seen) == len(set(seen)) == 15
    seen += topics.run("consume", topic, *flags).stdout.decode().split()
    assert len(seen) == len(set(seen))
    assert {n for n in range(100) if n % 5 == 0} <= {int(one) for one in seen}


SPANS = [
    (("-o", "1", "--until", "3"), "12"),
    (("-o", "-4", "--to", "-2"), "12"),
    (("--until", "earliest"), ""),
    (("--until", "0"), ""),
    (("--until", "latest"), "01234"),
    (("--until", "99"), "01234"),
    (("--until", str(99 * START_MS)), "01234"),
    (("--until", f"ts:{START_MS + 2}"), "01"),
    (("--until", "2023-11-14T22:13:20.003Z", "-o", f"ts:{START_MS + 1}"), "12"),
    (("--until", "2023-11-14"), ""),
    (("--from", "2023-11-14", "--until", "2023-11-15"), "01234"),
    (("-o", "-1h"), ""),
    (("--until", "-1h"), "01234"),
    (("-o", "latest"), ""),
    (("-f", "--until", "4"), "0123"),
    (("-f", "--until", f"ts:{START_MS + 3}"), "012"),
]


@pytest.mark.parametrize(("flags", "offsets"), SPANS)
def test_from_and_until(
    topics: WrittenTopics, odd: str, flags: tuple[str, ...], offsets: str
) -> None:
    assert topics.run("consume", odd, "--format", "%o", *flags).stdout.decode() == offsets


REPLAYS = [
    (("--from", "2023-11-14", "--to", "2023-11-15"), "01234"),
    (("--from", f"{START_MS + 1}", "--until", "2023-11-14T22:13:20.003Z"), "12"),
    (("--from", "-1h"), ""),
]


@pytest.mark.parametrize(("flags", "offsets"), REPLAYS)
def test_a_replay_between_times(
    topics: WrittenTopics, odd: str, flags: tuple[str, ...], offsets: str
) -> None:
    assert topics.run("replay", odd, "--format", "%o", *flags).stdout.decode() == offsets


class TestSeveralTopics:
    @pytest.fixture
    def two(self, topics: WrittenTopics) -> list[str]:
        names = [topics.new(), topics.new()]
        for number, name in enumerate(names):
            times = [START_MS + number + step * 2 for step in range(3)]
            sent = [{"value_text": str(time - START_MS), "timestamp": time} for time in times]
            topics.write(name, sent)
        return names

    def test_one_after_the_other(self, topics: WrittenTopics, two: list[str]) -> None:
        shown = topics.run("consume", *two, "--format", "%t %s\n").stdout.decode().splitlines()
        expected = [f"{two[0]} {n}" for n in (0, 2, 4)] + [f"{two[1]} {n}" for n in (1, 3, 5)]
        assert shown == expected

    def test_in_order_of_time(self, topics: WrittenTopics, two: list[str]) -> None:
        assert topics.run("replay", *two, "--format", "raw").stdout == b"012345"

    def test_as_a_group(self, topics: WrittenTopics, two: list[str]) -> None:
        shown = topics.run("consume", *two, "-g", two[0], "--format", "ndjson").stdout
        records = [json.loads(line) for line in shown.splitlines()]
        assert sorted((one["topic"], one["value"]) for one in records) == sorted(
            [(two[0], n) for n in (0, 2, 4)] + [(two[1], n) for n in (1, 3, 5)]
        )

    def test_what_is_printed_is_taken(self, topics: WrittenTopics, two: list[str]) -> None:
        """The topics' names are told apart from what is written again."""
        shown = topics.run("consume", *two, "--format", "ndjson").stdout
        copy = topics.new()
        topics.run("produce", copy, "--format", "ndjson", stdin=shown)
        assert topics.values(copy) == [b"0", b"2", b"4", b"1", b"3", b"5"]

    def test_followed(self, topics: WrittenTopics, two: list[str]) -> None:
        shown = topics.run("consume", *two, "-f", "--format", "raw", "-n", "6").stdout
        assert sorted(shown.decode()) == [*"012345"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--format", "%z"), "'%z' is not known; there are %s value"),
        (("--format", "50%"), "'%' is not known"),
        (("--format", "xml"), "expected text, ndjson or raw, or a format string with a %"),
        (("-f", "%s", "--format", "raw"), "more than one --format"),
        (("%s",), "'%s' is no topic"),
        (("--match-key", "("), "--match-key '(' is not a regular expression: missing )"),
        (("--match-header", "a=["), "--match-header '[' is not"),
        (("--until", "soon"), "--until: 'soon' is not earliest, latest, an offset"),
        (("--group", "g", "--until", "5"), "a group decides on partitions"),
        (("-K", ":", "--format", "ndjson"), "--key-delimiter goes with --format text"),
        (("--null", "x", "--format", "ndjson"), "do not go with --format ndjson"),
        (("--base64", "x"), "--base64 x: expected key, value or both"),
    ],
)
def test_used_wrongly(topics: WrittenTopics, odd: str, flags: tuple[str, ...], said: str) -> None:
    ended = topics.run("consume", odd, *flags, status=2)
    assert said in ended.stderr
    assert ended.stdout == b""


def test_no_line_of_the_help_is_wider_than_the_terminal() -> None:
    for columns in (60, 80, 120):
        with Terminal([*TIDELOG, "consume", "--help"], columns=columns) as terminal:
            assert terminal.end() == 0
        plain = re.sub(rb"\x1b\[[0-9;]*m", b"", terminal.seen).decode()
        lengths = [len(line) for line in plain.replace("\r", "").splitlines()]
        assert 0.8 * columns < max(lengths) <= columns
