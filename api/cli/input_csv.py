"""CSV becomes records (RFC 4180): the header names the fields, each row is a JSON object.

Line ends within quotes are data. What would lose something is refused: rows that have more or
fewer fields than the header, a name that it has twice, a quote that ends before its field does.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from tidelog.api.cli.failures import UsedWrongly
from tidelog.api.cli.input_lines import LINE_BYTES_MAX, BadLine, Line, text_of
from tidelog.api.cli.input_records import Common, InputRecord


class Columns(NamedTuple):
    """How the text is cut into fields, and what some columns are beside parts of the value."""

    delimiter: str = ","
    key: str | None = None
    timestamp: str | None = None
    """Milliseconds since the epoch."""


class _Row(NamedTuple):
    line: int
    """On which it begins."""
    fields: list[str]


def delimiter_of(text: str) -> str:
    r"""The character that is meant, a tab by ``\t`` or ``tab`` too. Raises UsedWrongly."""
    delimiter = "\t" if text in ("\\t", "tab") else text
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise UsedWrongly(f"--delimiter {text}: expected one character, or tab")
    return delimiter


def csv_records(lines: Iterable[Line], columns: Columns, common: Common) -> Iterator[InputRecord]:
    """A record for each row below the header. Raises BadLine."""
    rows = _rows(lines, columns.delimiter)
    header = next(rows, None)
    if header is None:
        return
    names = header.fields
    _check_header(header, columns)
    more = common.members(key=columns.key is None)
    for line, fields in rows:
        if len(fields) != len(names):
            raise BadLine(line, f"has {_count(fields)}, but the header has {len(names)}")
        row = dict(zip(names, fields, strict=True))
        members = [b'"value":' + json.dumps(row, ensure_ascii=False).encode()]
        if columns.key is not None:
            members.append(b'"key_text":' + msgspec.json.encode(row[columns.key]))
        if columns.timestamp is not None:
            time = row[columns.timestamp]
            if not (time.isascii() and time.isdigit()):
                reason = f"has {time!r} in column {columns.timestamp}, which is not milliseconds"
                raise BadLine(line, reason)
            members.append(b'"timestamp":' + (time.lstrip("0") or "0").encode())
        yield InputRecord(line, members + more)


def _check_header(header: _Row, columns: Columns) -> None:
    names = header.fields
    twice = next((name for n, name in enumerate(names) if name in names[:n]), None)
    if twice is not None:
        raise BadLine(header.line, f"names column {twice!r} twice")
    for column in (columns.key, columns.timestamp):
        if column is not None and column not in names:
            known = ", ".join(names)
            reason = f"is the header, and there is no column {column!r}; there are {known}"
            raise BadLine(header.line, reason)


def _rows(lines: Iterable[Line], delimiter: str) -> Iterator[_Row]:
    """Rows that are not empty. Raises BadLine."""
    csv.field_size_limit(LINE_BYTES_MAX)
    texts = (text_of(line) for line in lines)
    reader: Any = csv.reader(texts, delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise BadLine(line, _why_not_csv(str(error))) from error
        if fields:
            yield _Row(line, fields)


def _why_not_csv(reason: str) -> str:
    if reason.startswith("new-line character"):
        return "has a carriage return outside quotes that ends no line"
    if reason.startswith("unexpected end of data"):
        return "begins a quoted field that never ends"
    if reason.startswith("field larger"):
        return f"begins a field longer than {LINE_BYTES_MAX} characters; is a quote missing?"
    return f"is not CSV: {reason}"


def _count(fields: list[str]) -> str:
    return "1 field" if len(fields) == 1 else f"{len(fields)} fields"
