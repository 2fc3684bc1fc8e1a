"""What ``tidelog produce`` is given is what is stored, and what is stored is what is printed."""

from __future__ import annotations

import base64
import csv
import io
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.broker_process import BrokerProcess
from tests.support.command_line import tidelog_bytes
from tests.support.written_topics import WrittenTopics

ODD_JSON = [
    *(b"1.10", b"1E5", b"1e999", b"-0", b"-0.0", b"12345678901234567890.5", b"9" * 5000),
    *(b'{"a":1,"a":2}', b'{"b":0.10,"a":1e400}', b"[1,2]", b'{ "a" :\t[ ] }', b"[]", b'""'),
    *(b'"\\u00e9\\/\\n"', '"é\u2028"'.encode(), b'"\x7f"', b'"\\u0000"', b'"\\ud83d\\ude00"'),
    *(b"true", b"null", b"[null]", b'{"value":1}', b'{"key":"a"}', b"[" * 400 + b"]" * 400),
]
ODD_BYTES = [
    *(b"", b" ", b"\r", b"10%\r20%", b"crlf\r", b"\x00", b"\xff\xfe\x00", b"\xc3", b"a\tb"),
    *(b"\xed\xa0\x80", "\ufeff".encode(), "\x85\u2028".encode(), b"\x1b[31m", b'{"a": 1} '),
]
ODD_VALUES = [*ODD_JSON, *ODD_BYTES, b"two\nlines", b'{"a":\n1}', b" 1", b"1\n", b"[" * 2000]

spaces = st.text(" \t\r", max_size=2).map(str.encode)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
strings = texts.flatmap(
    lambda text: st.sampled_from([json.dumps(text), json.dumps(text, ensure_ascii=False)])
)
scalars = st.sampled_from(ODD_JSON) | strings.map(str.encode)


def joined(parts: Sequence[bytes], spaced: bytes) -> bytes:
    return (b"," + spaced).join(parts)


def arrays(parts: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.builds(lambda few, gap: b"[%b]" % joined(few, gap), st.lists(parts), spaces)


def objects(parts: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    members = st.tuples(st.sampled_from([b"a", b"b"]), spaces, parts).map(b'"%b"%b:%b'.__mod__)
    return st.builds(lambda few, gap: b"{%b}" % joined(few, gap), st.lists(members), spaces)


json_texts = st.recursive(scalars, lambda parts: arrays(parts) | objects(parts), max_leaves=8)
lines = st.sampled_from(ODD_BYTES + ODD_JSON) | st.binary(max_size=20).filter(
    lambda line: b"\n" not in line
)
MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")


@given(st.lists(lines, min_size=1), st.booleans())
@example([*ODD_BYTES, *ODD_JSON], True)
@settings(max_examples=25)
def test_lines(topics: WrittenTopics, given: list[bytes], ended: bool) -> None:
    if given[0].startswith(MARKS):
        given = [b"first", *given]
    if not given[-1]:
        ended = True
    content = b"\n".join(given) + b"\n" * ended
    topic = topics.new()
    topics.run("produce", topic, stdin=content)
    assert topics.values(topic) == given
    assert topics.run("consume", topic).stdout == b"".join(b"\t%b\n" % one for one in given)
    assert topics.run("consume", topic, "--format", "raw").stdout == b"".join(given)


@given(st.lists(json_texts, min_size=1), st.lists(spaces, min_size=1))
@example(ODD_JSON, [b" ", b"\r"])
@settings(max_examples=25)
def test_json_values(topics: WrittenTopics, texts: list[bytes], around: list[bytes]) -> None:
    content = b"\n".join(gap + text + gap for text, gap in zip(texts, itertools.cycle(around)))
    topic = topics.new()
    topics.run("produce", topic, "--format", "ndjson", "--envelope", "never", stdin=content)
    assert topics.values(topic) == texts
    assert topics.run("consume", topic).stdout == b"".join(b"\t%b\n" % one for one in texts)


@given(st.lists(json_texts, min_size=1))
@settings(max_examples=20)
def test_json_values_of_records(topics: WrittenTopics, texts: list[bytes]) -> None:
    content = b"\n".join(b'{"key": "k", "value": %b }' % text for text in texts)
    topic = topics.new()
    topics.run("produce", topic, "--format", "ndjson", stdin=content)
    assert topics.values(topic) == [None if text == b"null" else text for text in texts]


def base64_of(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode()


records = st.fixed_dictionaries(
    {
        "key_base64": (st.none() | st.binary(max_size=9)).map(base64_of),
        "value_base64": (st.none() | st.sampled_from(ODD_VALUES) | st.binary()).map(base64_of),
        "headers": st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from("aab"), "value_base64": st.binary().map(base64_of)}
            )
            | st.fixed_dictionaries({"name": st.just("null"), "value": st.none()}),
            max_size=3,
        ),
    }
)


@given(st.lists(records, min_size=1))
@example([{"value_base64": base64_of(value)} for value in (None, *ODD_VALUES)])
@settings(max_examples=25)
def test_what_consume_prints_produce_takes(
    topics: WrittenTopics, sent: list[dict[str, Any]]
) -> None:
    first, second, third = topics.new(), topics.new(), topics.new()
    topics.write(first, [{**one, "timestamp": 5} for one in sent])
    shown = topics.run("consume", first, "--format", "ndjson").stdout
    assert shown.count(b"\n") == len(sent)
    topics.run("produce", second, "--format", "ndjson", stdin=shown)
    replayed = topics.run("replay", first, "--format", "ndjson").stdout
    topics.run("produce", third, "--format", "ndjson", stdin=replayed)
    there, *copies = map(topics.records, (first, second, third))
    assert {one.pop("timestamp") for one in there} == {5}
    for copy in copies:
        assert all(one.pop("timestamp") != 5 for one in copy)
        assert copy == there


def test_a_group_prints_the_same(topics: WrittenTopics) -> None:
    topic = topics.new()
    topics.write(topic, [{"key": "k", "value_base64": base64_of(one)} for one in ODD_VALUES])
    for output in ("text", "ndjson", "raw"):
        alone = topics.run("consume", topic, "--format", output)
        group = topics.run("consume", topic, "--format", output, "--group", f"{topic}-{output}")
        assert group.stdout == alone.stdout


def tables(names: list[str]) -> st.SearchStrategy[list[list[str]]]:
    """A header and rows that fit it."""
    fields = texts | st.just('a "b", c\r\nd\re')
    row = st.lists(fields, min_size=len(names), max_size=len(names))
    return st.lists(row).map(lambda rows: [names, *rows])


@given(
    st.lists(texts, min_size=1, max_size=4, unique=True).flatmap(tables),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
@settings(max_examples=25)
def test_csv(
    topics: WrittenTopics,
    table: list[list[str]],
    delimiter: str,
    line_end: str,
    marked: bool,
) -> None:
    names, *rows = table
    written = io.StringIO()
    writer = csv.writer(
        written, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL
    )
    writer.writerows(table)
    content = b"\xef\xbb\xbf" * marked + written.getvalue().encode()
    topic = topics.new()
    topics.run("produce", topic, "--format", "csv", "--delimiter", delimiter, stdin=content)
    expected = [json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) for row in rows]
    assert topics.values(topic) == [one.encode() for one in expected]


@pytest.mark.parametrize(
    ("flags", "content", "stored"),
    [
        ((), b"10%\r20%\ncrlf\r\nend", [b"10%\r20%", b"crlf\r", b"end"]),
        ((), b"\xff\n\x00\n\nend\n", [b"\xff", b"\x00", b"", b"end"]),
        (("--format", "ndjson"), b'{"a":\r1}\r\n1.10\r\n', [b'{"a":\r1}', b"1.10"]),
        (("--format", "raw"), b"\xef\xbb\xbfa\r\n\n\x00\xff", [b"\xef\xbb\xbfa\r\n\n\x00\xff"]),
        (("--format", "raw"), b"", [b""]),
        (("--format", "csv"), b'a,b\r\n"x\r\ny",2\r\n', [b'{"a": "x\\r\\ny", "b": "2"}']),
        (("--format", "csv"), b'a\n"x\ry"\n"x\ny"', [b'{"a": "x\\ry"}', b'{"a": "x\\ny"}']),
    ],
)
def test_a_file_and_standard_input_are_the_same(
    topics: WrittenTopics,
    broker: BrokerProcess,
    tmp_path: Path,
    flags: tuple[str, ...],
    content: bytes,
    stored: list[bytes],
) -> None:
    (tmp_path / "input").write_bytes(content)
    ways = [((), content), (("--file", str(tmp_path / "input")), b"not this")]
    for way, stdin in ways:
        topic = topics.new()
        server = ("--server", broker.url)
        ended = tidelog_bytes("produce", topic, *flags, *way, *server, stdin=stdin)
        assert ended.status == 0, ended.stderr
        assert topics.values(topic) == stored


def test_arguments_are_bytes_too(topics: WrittenTopics, broker: BrokerProcess) -> None:
    topic = topics.new()
    values = ("one\udcff", "", "a\nb\n", "é")
    server = ("--server", broker.url)
    ended = tidelog_bytes("produce", topic, *values, "--key", "k\udcff", *server)
    assert ended.status == 0, ended.stderr
    assert topics.values(topic) == [b"one\xff", b"", b"a\nb\n", "é".encode()]
    assert {one["key_base64"] for one in topics.records(topic)} == {base64_of(b"k\xff")}
