"""Records on standard output, with the bytes that are stored: no JSON is read and written again.

The broker is asked for values as text (``value=text``), which says every byte of them: UTF-8 as a
JSON string, anything else in base64. Here they become what they were.
"""

from __future__ import annotations

import binascii
import sys
from collections.abc import Iterable

import msgspec
from msgspec import Raw

Shown = dict[str, Raw]
"""A record as the broker shows it: the JSON of each member."""

_decode_raw = msgspec.json.Decoder(Raw).decode
_decode_text = msgspec.json.Decoder(str).decode
_NULL = b"null"


class Printer:
    """Prints records in one of the formats text, ndjson and raw."""

    def __init__(self, output: str) -> None:
        self._format = {"text": _text, "ndjson": _json, "raw": _value}[output]

    def show(self, records: Iterable[Shown], *, at_once: bool = True) -> None:
        """``at_once``: they are with whoever reads the output when this returns."""
        output = sys.stdout.buffer
        for record in records:
            output.write(self._format(record))
        if at_once:
            output.flush()


def _text(record: Shown) -> bytes:
    return b"%b\t%b\n" % (_bytes_of(record, "key", "key"), _value(record))


def _value(record: Shown) -> bytes:
    return _bytes_of(record, "value", "value_text")


def _bytes_of(record: Shown, name: str, text_name: str) -> bytes:
    """Empty where there are none."""
    text = record.get(text_name)
    if text is not None and bytes(text) != _NULL:
        return _decode_text(text).encode()
    base64 = record.get(name + "_base64")
    return b"" if base64 is None else binascii.a2b_base64(_decode_text(base64))


def _json(record: Shown) -> bytes:
    """One line: the value as JSON if it is that and can stand in a line as it is."""
    members = []
    for name, content in record.items():
        if name == "value_text" and _is_line_of_json(value := _decode_text(content).encode()):
            name, content = "value", Raw(value)
        members.append(b'"%b":%b' % (name.encode(), content))
    return b"{%b}\n" % b",".join(members)


def _is_line_of_json(value: bytes) -> bool:
    """The word null is none: as a value it would say that there is no value."""
    if b"\n" in value or b"\r" in value or value == _NULL:
        return False
    try:
        return len(_decode_raw(value)) == len(value)
    except (msgspec.MsgspecError, RecursionError):
        return False
