r"""Format strings of ``consume``, as kcat has them: ``%t [%p] at %o: %k: %s\n``."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable

from tidelog.api.cli.escapes import unescaped
from tidelog.api.cli.failures import UsedWrongly
from tidelog.api.cli.shown_records import Shown, headers_of, number_of, string_of

Content = Callable[[Shown], bytes | None]
"""The key or the value of a record, as it is to be printed."""
_NULL_LENGTH = -1
_SIGN = re.compile("%(.?)", re.DOTALL)

SIGNS = "%s value, %k key, %t topic, %p partition, %o offset, %T time in ms, %h headers, %S and %K \
bytes of value and key, %R those of the value as 4 bytes, %% a percent sign"


class RecordFormat:
    """What is printed of each record, with nothing between them."""

    def __init__(self, text: str, key: Content, value: Content) -> None:
        """Raises UsedWrongly."""
        self._signs: dict[str, Callable[[Shown], bytes]] = {
            "s": lambda record: value(record) or b"",
            "k": lambda record: key(record) or b"",
            "S": lambda record: b"%d" % _length(value(record)),
            "K": lambda record: b"%d" % _length(key(record)),
            "R": lambda record: struct.pack(">i", _length(value(record))),
            "t": lambda record: string_of(record, "topic").encode(),
            "p": lambda record: b"%d" % number_of(record, "partition"),
            "o": lambda record: b"%d" % number_of(record, "offset"),
            "T": lambda record: bytes(record["timestamp"]),
            "h": _headers,
        }
        self._parts: list[bytes | Callable[[Shown], bytes]] = []
        end = 0
        for found in _SIGN.finditer(text):
            self._add_text(text[end : found.start()])
            self._add_sign(found.group(1))
            end = found.end()
        self._add_text(text[end:])

    def __call__(self, record: Shown) -> bytes:
        return b"".join(part if isinstance(part, bytes) else part(record) for part in self._parts)

    def _add_text(self, text: str) -> None:
        if text:
            self._parts.append(os.fsencode(unescaped(text)))

    def _add_sign(self, letter: str) -> None:
        if letter == "%":
            self._parts.append(b"%")
        elif letter in self._signs:
            self._parts.append(self._signs[letter])
        else:
            raise UsedWrongly(f"--format: {'%' + letter!r} is not known; there are {SIGNS}")


def _length(content: bytes | None) -> int:
    return _NULL_LENGTH if content is None else len(content)


def _headers(record: Shown) -> bytes:
    pairs = (
        name + b"=" + (b"NULL" if value is None else value) for name, value in headers_of(record)
    )
    return b",".join(pairs)
