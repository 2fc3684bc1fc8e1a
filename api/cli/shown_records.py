"""A record as the broker shows it, and the bytes that it means.

The broker is asked for values as text (``value=text``), which says every byte of them: UTF-8 as a
JSON string, anything else in base64.
"""

from __future__ import annotations

import binascii
from typing import NamedTuple

import msgspec
from msgspec import Raw

Shown = dict[str, Raw]
"""The JSON of each member."""

_decode_text = msgspec.json.Decoder(str).decode
_NULL = b"null"


class _Header(msgspec.Struct):
    name: str | None = None
    name_base64: str | None = None
    value: str | None = None
    value_base64: str | None = None


class Header(NamedTuple):
    """One of a record's headers."""

    name: bytes
    value: bytes | None


_decode_headers = msgspec.json.Decoder(dict[str, str | None] | list[_Header]).decode


def key_of(record: Shown) -> bytes | None:
    """None where there is none."""
    return _bytes_of(record, "key", "key")


def value_of(record: Shown) -> bytes | None:
    """None for a tombstone."""
    return _bytes_of(record, "value", "value_text")


def headers_of(record: Shown) -> list[Header]:
    """In their order."""
    shown = _decode_headers(record["headers"])
    if isinstance(shown, dict):
        return [
            Header(name.encode(), None if value is None else value.encode())
            for name, value in shown.items()
        ]
    return [
        Header(
            _either(one.name, one.name_base64) or b"",
            _either(one.value, one.value_base64),
        )
        for one in shown
    ]


def number_of(record: Shown, name: str) -> int:
    """The offset, the partition or the time."""
    return int(bytes(record[name]))


def string_of(record: Shown, name: str) -> str:
    """A member that is text."""
    return _decode_text(record[name])


def _bytes_of(record: Shown, name: str, text_name: str) -> bytes | None:
    text = record.get(text_name)
    if text is not None and bytes(text) != _NULL:
        return _decode_text(text).encode()
    base64 = record.get(name + "_base64")
    return None if base64 is None else binascii.a2b_base64(_decode_text(base64))


def _either(text: str | None, base64: str | None) -> bytes | None:
    if base64 is not None:
        return binascii.a2b_base64(base64)
    return None if text is None else text.encode()
