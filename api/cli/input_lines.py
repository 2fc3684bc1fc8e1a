"""What ``tidelog produce`` reads: bytes, cut into lines that keep every byte.

Only LF ends a line; the last one may lack it. A byte-order mark of UTF-8 at the very beginning
is no part of the first line; UTF-16 and UTF-32, which begin with another, are refused by name.
"""

from __future__ import annotations

import codecs
import io
import select
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tidelog.api.cli.failures import CommandFailed

LINE_BYTES_MAX = 32 * 1024 * 1024
"""Of a line, or of a field of CSV that goes over many lines: what is held in memory at once."""
_PIECE_BYTES = 64 * 1024
_PAUSE_MS = 10
"""An input that brings nothing for so long pauses."""
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


def lines_of(
    source: io.BufferedIOBase, before_waiting: Callable[[], None] = lambda: None
) -> Iterator[Line]:
    """The lines of a stream, as they come; it calls ``before_waiting`` where the stream pauses.

    Raises BadLine, and what ``before_waiting`` raises.
    """
    number = 1
    parts: list[bytes] = []
    try:
        for piece in _pieces(source, before_waiting):
            first, *others = piece.split(b"\n")
            parts.append(first)
            for rest in others:
                yield _line(number, b"".join(parts) + b"\n")
                number += 1
                parts = [rest]
            if len(parts) > 1 and sum(map(len, parts)) > LINE_BYTES_MAX:
                break
    except OSError as error:
        raise BadLine(number, f"cannot be read: {error.strerror}") from error
    if any(parts):
        yield _line(number, b"".join(parts))


def text_of(line: Line) -> str:
    """The line as text. Raises BadLine."""
    try:
        return line.content.decode()
    except UnicodeDecodeError as error:
        raise BadLine(line.number, f"is not UTF-8 at byte {error.start + 1}") from error


def _pieces(source: io.BufferedIOBase, before_waiting: Callable[[], None]) -> Iterator[bytes]:
    """Raises OSError."""
    poll = select.poll()
    # What is in memory has no descriptor, and never waits.
    waits = True
    try:
        poll.register(source.fileno(), select.POLLIN)
    except io.UnsupportedOperation:
        waits = False
    while True:
        if waits and not poll.poll(_PAUSE_MS):
            before_waiting()
        piece = source.read1(_PIECE_BYTES)
        if not piece:
            return
        yield piece


def _line(number: int, content: bytes) -> Line:
    """Raises BadLine."""
    if len(content) - content.endswith(b"\n") > LINE_BYTES_MAX:
        raise BadLine(number, f"is longer than {LINE_BYTES_MAX} bytes")
    return Line(number, _without_mark(content) if number == 1 else content)


def _without_mark(line: bytes) -> bytes:
    for mark, name in _MARKS.items():
        if line.startswith(mark):
            raise BadLine(1, f"begins as {name} does; convert the input to UTF-8, as iconv can")
    return line.removeprefix(codecs.BOM_UTF8)
