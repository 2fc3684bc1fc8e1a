"""Lines of JSON become records. No JSON is ever read and written again.

A record is held as the members of the JSON object that the HTTP API takes, so that a value goes
out with the bytes that it came with.
"""

from __future__ import annotations

import binascii
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec
from msgspec import Raw

from tidelog.api.cli.input_lines import LINE_BYTES_MAX, BadLine, Line, text_of

_JSON_SPACE = b" \t\r\n"
_ABSENT = Raw(b"")


class InputRecord(NamedTuple):
    """One record and the line on which it begins."""

    line: int
    members: list[bytes]
    """Of its JSON object, like ``"value":1``."""


class Envelope(StrEnum):
    """Which lines of JSON are whole records, and which are values."""

    AUTO = "auto"
    """The first line decides for all."""
    ALWAYS = "always"
    NEVER = "never"


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    """A record as the HTTP API takes it."""

    key: Raw = _ABSENT
    key_text: Raw = _ABSENT
    key_base64: Raw = _ABSENT
    value: Raw = _ABSENT
    value_text: Raw = _ABSENT
    value_base64: Raw = _ABSENT
    headers: Raw = _ABSENT
    partition: Raw = _ABSENT
    timestamp: Raw = _ABSENT


class _ReadRecord(_Record, forbid_unknown_fields=True, kw_only=True):
    """A record as ``consume`` prints it and the HTTP API answers it; it tells where it was."""

    offset: Raw
    timestamp: Raw
    topic: Raw = _ABSENT


_KEYS = ("key", "key_text", "key_base64")
_VALUES = ("value", "value_text", "value_base64")
_PLACES = ("partition", "timestamp")
_decode_record = msgspec.json.Decoder(_Record).decode
_decode_read_record = msgspec.json.Decoder(_ReadRecord).decode
_decode_raw = msgspec.json.Decoder(Raw).decode


class Common(NamedTuple):
    """What the command line gives to every record that has none of its own."""

    key: bytes | None = None
    headers: dict[str, str] | None = None
    partition: int | None = None

    def members(
        self, *, key: bool = True, headers: bool = True, partition: bool = True
    ) -> list[bytes]:
        """As members of a record, each where it is wanted."""
        members = []
        if key and self.key is not None:
            members.append(bytes_member("key", self.key))
        if headers and self.headers:
            members.append(b'"headers":' + msgspec.json.encode(self.headers))
        if partition and self.partition is not None:
            members.append(b'"partition":%d' % self.partition)
        return members


def bytes_member(name: str, content: bytes) -> bytes:
    """Bytes as a member: text where they are UTF-8, else base64."""
    try:
        return b'"%b_text":%b' % (name.encode(), msgspec.json.encode(content.decode()))
    except UnicodeDecodeError:
        encoded = binascii.b2a_base64(content, newline=False)
        return b'"%b_base64":"%b"' % (name.encode(), encoded)


def whole_input(source: io.BufferedIOBase, common: Common) -> Iterator[InputRecord]:
    """One record whose value is all there is. Raises BadLine."""
    try:
        content = source.read(LINE_BYTES_MAX + 1)
    except OSError as error:
        raise BadLine(1, f"cannot be read: {error.strerror}") from error
    if len(content) > LINE_BYTES_MAX:
        raise BadLine(1, f"begins a value longer than {LINE_BYTES_MAX} bytes")
    yield InputRecord(1, [bytes_member("value", content), *common.members()])


def json_records(
    lines: Iterable[Line], envelope: Envelope, common: Common, kept: Sequence[str] = ()
) -> Iterator[InputRecord]:
    """Each line that is not empty is a record or a value, as ``envelope`` says.

    ``kept``: what of where and when a record was read is written too. Raises BadLine.
    """
    more = common.members()
    for line in lines:
        text_of(line)
        text = line.content.strip(_JSON_SPACE)
        if not text:
            continue
        if envelope is Envelope.AUTO:
            envelope = Envelope.ALWAYS if _is_record(text) else Envelope.NEVER
        if envelope is Envelope.ALWAYS:
            yield InputRecord(line.number, _record(line.number, text, common, kept))
        else:
            yield InputRecord(line.number, [_value(line.number, text), *more])


def _is_record(text: bytes) -> bool:
    try:
        return _has_value(_decode(text))
    except (msgspec.MsgspecError, RecursionError):
        return False


def _decode(text: bytes) -> _Record:
    """Raises msgspec.MsgspecError, RecursionError."""
    try:
        return _decode_record(text)
    except msgspec.ValidationError as error:
        try:
            return _decode_read_record(text)
        except msgspec.ValidationError:
            raise error from None


def _has_value(record: _Record) -> bool:
    return any(getattr(record, name) is not _ABSENT for name in _VALUES)


def _record(number: int, text: bytes, common: Common, kept: Sequence[str]) -> list[bytes]:
    """The members to write. Raises BadLine."""
    try:
        record = _decode(text)
    except msgspec.ValidationError as error:
        raise BadLine(number, f"is not a record: {error}") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadLine(number, _why_not_json(text, error)) from error
    if not _has_value(record):
        raise BadLine(number, 'is a record without a value; that of a tombstone is "value":null')
    places = kept if isinstance(record, _ReadRecord) else _PLACES
    names = (*_KEYS, *_VALUES, "headers", *places)
    given = [(name, raw) for name in names if (raw := getattr(record, name)) is not _ABSENT]
    members = [b'"%b":%b' % (name.encode(), raw) for name, raw in given]
    names_given = {name for name, _ in given}
    return members + common.members(
        key=names_given.isdisjoint(_KEYS),
        headers="headers" not in names_given,
        partition="partition" not in names_given,
    )


def _value(number: int, text: bytes) -> bytes:
    """The line itself as a value. Raises BadLine."""
    try:
        _decode_raw(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadLine(number, _why_not_json(text, error)) from error
    # As "value" the word null would be a tombstone, for which nobody asked.
    return b'"value_text":"null"' if text == b"null" else b'"value":' + text


def _why_not_json(text: bytes, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    try:
        json.loads(text)
    except json.JSONDecodeError as found:
        return f"is not JSON: {found.msg} at column {found.pos + 1}"
    except (ValueError, RecursionError):
        pass
    else:
        if b"\\u" in text:
            return "has half a surrogate pair in a string, which is not UTF-8"
    return f"is not JSON: {error}"
