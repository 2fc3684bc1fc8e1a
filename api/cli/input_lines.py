"""What ``tidelog produce`` reads: bytes, cut into lines that keep every byte.

Only LF ends a line; the last one may lack it. A byte-order mark of UTF-8 at the very beginning
is no part of the first line; UTF-16 and UTF-32, which begin with another, are refused by name.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from tidelog.api.cli.client import CommandFailed

LINE_BYTES_MAX = 32 * 1024 * 1024
"""Of a line, or of a field of CSV that goes over many lines: what is held in memory at once."""
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""UTF-32 first: its little-endian mark begins as that of UTF-16."""


class BadLine(CommandFailed):
    """A line that cannot be taken; ``reason`` goes on after its number."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line} {reason}")
        self.line = line
        self.reason = reason


class Line(NamedTuple):
    """One line, with its LF if it has one; the first line has the number 1."""

    number: int
    content: bytes


def lines_of(source: BinaryIO) -> Iterator[Line]:
    """The lines of a stream, as they come. Raises BadLine."""
    number = 1
    line = _without_mark(_read(source, number))
    while line:
        yield Line(number, line)
        number += 1
        line = _read(source, number)


def text_of(line: Line) -> str:
    """The line as text. Raises BadLine."""
    try:
        return line.content.decode()
    except UnicodeDecodeError as error:
        raise BadLine(line.number, f"is not UTF-8 at byte {error.start + 1}") from error


def _read(source: BinaryIO, number: int) -> bytes:
    try:
        line = source.readline(LINE_BYTES_MAX + 1)
    except OSError as error:
        raise BadLine(number, f"cannot be read: {error.strerror}") from error
    if len(line) > LINE_BYTES_MAX and not line.endswith(b"\n"):
        raise BadLine(number, f"is longer than {LINE_BYTES_MAX} bytes")
    return line


def _without_mark(line: bytes) -> bytes:
    for mark, name in _MARKS.items():
        if line.startswith(mark):
            raise BadLine(1, f"begins as {name} does; convert the input to UTF-8, as iconv can")
    return line.removeprefix(codecs.BOM_UTF8)
