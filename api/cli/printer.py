"""Records on standard output, with the bytes that are stored: no JSON is read and written again."""

from __future__ import annotations

import binascii
import os
import sys
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec
from msgspec import Raw

from tidelog.api.cli.escapes import unescaped
from tidelog.api.cli.record_format import Content, RecordFormat
from tidelog.api.cli.shown_records import Shown, key_of, string_of, value_of

_decode_raw = msgspec.json.Decoder(Raw).decode
_NULL = b"null"


class PrintForm(NamedTuple):
    """How records are printed."""

    format: str = "text"
    """text, ndjson, raw, or a format string, which holds a ``%``."""
    key_delimiter: str = "\t"
    null: str = ""
    """What is printed for a key or a value that is none."""
    base64: frozenset[str] = frozenset()
    """Which of ``key`` and ``value`` are encoded so."""
    tells_topic: bool = False
    """Whether JSON has the topic's name."""


class Printer:
    """Prints records in one form."""

    def __init__(self, form: PrintForm) -> None:
        """Raises UsedWrongly."""
        key, value = (_content(name, form) for name in ("key", "value"))
        self._format: Callable[[Shown], bytes]
        if form.format == "ndjson":
            self._format = _json if form.tells_topic else _json_of_one_topic
        elif form.format == "raw":
            self._format = lambda record: value(record) or b""
        elif form.format == "text":
            delimiter = os.fsencode(unescaped(form.key_delimiter))
            self._format = lambda record: delimiter.join(
                (key(record) or b"", (value(record) or b"") + b"\n")
            )
        else:
            self._format = RecordFormat(form.format, key, value)

    def show(self, records: Iterable[Shown], *, at_once: bool = True) -> None:
        """``at_once``: they are with whoever reads the output when this returns."""
        output = sys.stdout.buffer
        for record in records:
            output.write(self._format(record))
        if at_once:
            output.flush()


def _content(name: str, form: PrintForm) -> Content:
    of_record = {"key": key_of, "value": value_of}[name]
    null = os.fsencode(form.null)
    encodes = name in form.base64
    # Lengths in a format string tell what is none.
    none = None if "%" in form.format and not null else null

    def content(record: Shown) -> bytes | None:
        stored = of_record(record)
        if stored is None:
            return none
        return binascii.b2a_base64(stored, newline=False) if encodes else stored

    return content


def _json_of_one_topic(record: Shown) -> bytes:
    return _json({name: content for name, content in record.items() if name != "topic"})


def _json(record: Shown) -> bytes:
    """One line: the value as JSON if it is that and can stand in a line as it is."""
    members = []
    for name, content in record.items():
        if name == "value_text" and _is_line_of_json(value := string_of(record, name).encode()):
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
