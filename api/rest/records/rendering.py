"""Records and errors as JSON. A field comes back as it would be produced: JSON, text or base64.

Values are put into the reply as the bytes that are stored, once it is certain that each of them
is one whole JSON value: all values of a page are checked by a single pass of the parser.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence

import msgspec

from tidelog.storage.batches.record import Record, encode_name
from tidelog.storage.errors import UnreadableBatch

encode_json = msgspec.json.encode
_NULL = b"null"
"""The JSON value is shown as text: ``null`` in its place stands for no value."""
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode

VALUE_MODES = ("json", "text", "base64")
ON_CORRUPT = ("fail", "skip")
"""Whether a reader passes what cannot be read."""


def render_records(records: Sequence[Record], mode: str = "json") -> list[bytes]:
    """Each record as a JSON object on one line."""
    if not records:
        return []
    offsets, timestamps, keys, values, headers = zip(*records, strict=True)
    shown = zip(
        offsets,
        timestamps,
        _keys(keys),
        _values(values, mode),
        [_headers(few) if few else b"{}" for few in headers],
        strict=True,
    )
    return [b'{"offset":%d,"timestamp":%d,%b,%b,"headers":%b}' % fields for fields in shown]


def with_partition(rendered: bytes, partition: int) -> bytes:
    """A rendered record that also says its partition."""
    return b'{"partition":%d,' % partition + rendered[1:]


def with_place(rendered: bytes, topic: str, partition: int) -> bytes:
    """A rendered record that also says its topic and partition."""
    return b'{"topic":%b,"partition":%d,' % (encode_json(topic), partition) + rendered[1:]


def unreadable_list(unreadable: Sequence[UnreadableBatch]) -> bytes:
    """Batches that a reader met, each with the details of its error."""
    return encode_json([vars(batch) for batch in unreadable])


def skipped_field(skipped: Sequence[UnreadableBatch] | None) -> bytes:
    """The last field of an answer that has passed some."""
    return b',"skipped":' + unreadable_list(skipped) if skipped else b""


def skipped_line(skipped: Sequence[UnreadableBatch]) -> bytes:
    """What a stream of lines says of those that it has passed."""
    return b'{"skipped":%b}' % unreadable_list(skipped)


def _keys(keys: Sequence[bytes | None]) -> list[bytes]:
    try:
        return [
            b'"key":null' if key is None else b'"key":' + encode_json(key.decode()) for key in keys
        ]
    except UnicodeDecodeError:
        return [b'"key":null' if key is None else _text("key", "key", key) for key in keys]


def _values(values: Sequence[bytes | None], mode: str) -> list[bytes]:
    if mode == "json":
        present = [value for value in values if value is not None]
        if _are_json(present):
            return [b'"value":null' if value is None else b'"value":' + value for value in values]
    return [_value(value, mode) for value in values]


def _are_json(values: list[bytes]) -> bool:
    """Whether each is one JSON value, not null, without line breaks around or in it.

    Values as long as the elements of the list that they make together are those elements.
    """
    joined = b",".join(values)
    if b"\n" in joined or b"\r" in joined or _NULL in values:
        return False
    try:
        joined.decode()
        elements = _decode_list(b"[%b]" % joined)
    except (UnicodeDecodeError, msgspec.MsgspecError, RecursionError):
        return False
    return list(map(len, elements)) == list(map(len, values))


def _value(value: bytes | None, mode: str) -> bytes:
    if value is None:
        return b'"value":null'
    if mode == "json":
        try:
            value.decode()
            compact = msgspec.json.format(value, indent=-1)
            if compact != _NULL:
                # Shown as it was sent, but for line breaks: they would end a line of NDJSON.
                is_one_line = b"\n" not in value and b"\r" not in value
                return b'"value":' + (value if is_one_line else compact)
        except (UnicodeDecodeError, msgspec.MsgspecError, RecursionError):
            pass
    return _base64("value", value) if mode == "base64" else _text("value", "value_text", value)


def _text(name: str, text_name: str, content: bytes) -> bytes:
    """Content as text under ``text_name`` where it is UTF-8, else as ``name``_base64."""
    try:
        return b'"%b":%b' % (text_name.encode(), encode_json(content.decode()))
    except UnicodeDecodeError:
        return _base64(name, content)


def _base64(name: str, content: bytes) -> bytes:
    return b'"%b_base64":"%b"' % (name.encode(), binascii.b2a_base64(content, newline=False))


def _headers(headers: tuple[tuple[str, bytes | None], ...]) -> bytes:
    """An object where that loses nothing, else a list."""
    plain = {}
    try:
        for name, value in headers:
            if value is None or name in plain:
                break
            plain[name] = value.decode()
        else:
            return encode_json(plain)
    except UnicodeError:
        pass
    return b"[%b]" % b",".join(
        b"{%b,%b}"
        % (
            _text("name", "name", encode_name(name)),
            b'"value":null' if value is None else _text("value", "value", value),
        )
        for name, value in headers
    )
