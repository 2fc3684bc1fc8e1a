"""Frames of the Kafka protocol: four bytes of length, then that many bytes. Pure.

A request's frame begins with its header: api key int16, api version int16, correlation id int32,
client id nullable string; from version 2 of the header tagged fields follow.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from tidelog.storage.buffers import StoredBytes

_HTTP_STARTS = {b"GET ", b"HEAD", b"POST", b"PUT ", b"PATC", b"DELE", b"OPTI"}
_LENGTH = struct.Struct(">i")
_HEADER = struct.Struct(">hhih")
_HEAD = struct.Struct(">ii")
_FLEXIBLE_HEAD = struct.Struct(">iib")
LENGTH_SIZE = 4
HEADER_SIZE_MIN = _HEADER.size
TAGS_MAX = 1000
"""Tagged fields of one section; messages have a handful."""
ELEMENTS_MAX = 200_000
"""Elements of all arrays of one request: a few bytes of a frame become an object of many."""

TEXT_MAX = 2**15 - 1
"""Bytes of one text."""
NULL_REFUSED = "a field is null that may not be"
"""The reason where the schema has no null."""

Buffer = bytes | bytearray | memoryview
Part = Buffer | StoredBytes
"""Of a response; what stays in its file is sent from there."""


class ProtocolError(Exception):
    """Bytes that are not the protocol; the connection ends.

    ``reason`` is one of a few, by which such connections are counted; ``detail`` is what was sent.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class RequestHeader(NamedTuple):
    """``size`` is where the body begins, without the tagged fields of a flexible header."""

    api_key: int
    api_version: int
    correlation_id: int
    client_id: str | None
    size: int


def frame_size(buffer: Buffer, position: int, available: int, limit: int) -> int | None:
    """Bytes of the frame at ``position``, its length field included; None: not known yet.

    Raises ProtocolError for a length that is negative, too small or beyond ``limit``.
    """
    if available < LENGTH_SIZE:
        return None
    (length,) = _LENGTH.unpack_from(buffer, position)
    if not HEADER_SIZE_MIN <= length <= limit:
        other = _other_protocol(bytes(buffer[position : position + LENGTH_SIZE]))
        if other is not None:
            raise ProtocolError(f"this is {other}, and only the Kafka protocol is spoken here")
        allowed = f"{length} bytes, where {HEADER_SIZE_MIN} to {limit} are allowed"
        raise ProtocolError("the size of a frame is wrong", allowed)
    return int(length) + LENGTH_SIZE


def _other_protocol(start: bytes) -> str | None:
    """What is spoken by a client that begins so."""
    if start in _HTTP_STARTS:
        return "HTTP"
    return "TLS" if start.startswith(b"\x16\x03") else None


def read_header(frame: Buffer) -> RequestHeader:
    """The header of a frame without its length. Raises ProtocolError."""
    if len(frame) < HEADER_SIZE_MIN:
        raise ProtocolError("the frame ends inside the request header")
    api_key, version, correlation_id, length = _HEADER.unpack_from(frame)
    if length < 0:
        return RequestHeader(api_key, version, correlation_id, None, _HEADER.size)
    end = _HEADER.size + length
    if end > len(frame):
        raise ProtocolError("the client id does not fit the frame")
    try:
        client_id = str(frame[_HEADER.size : end], "utf-8")
    except UnicodeDecodeError as error:
        raise ProtocolError("the client id is not UTF-8") from error
    return RequestHeader(api_key, version, correlation_id, client_id, end)


def skip_tags(frame: Buffer, position: int) -> int:
    """The position after a section of tagged fields. Raises ProtocolError."""
    if position < len(frame) and not frame[position]:
        return position + 1
    count, position = read_varint(frame, position)
    if count > TAGS_MAX:
        raise ProtocolError("there are too many tagged fields", f"{count} in a section")
    for _ in range(count):
        _, position = read_varint(frame, position)
        size, position = read_varint(frame, position)
        position += size
        if position > len(frame):
            raise ProtocolError("a tagged field does not fit the frame")
    return position


def read_varint(frame: Buffer, position: int) -> tuple[int, int]:
    """An unsigned varint of up to 32 bits and the position after it. Raises ProtocolError."""
    if position < len(frame) and frame[position] < 0x80:
        return frame[position], position + 1
    value = shift = 0
    while True:
        if position >= len(frame) or shift > 28:
            raise ProtocolError("a varint does not end")
        byte = frame[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def response_head(correlation_id: int, *, flexible: bool) -> bytearray:
    """Room for the length, and the response header; ``finish`` fills in the length."""
    return bytearray(
        _FLEXIBLE_HEAD.pack(0, correlation_id, 0) if flexible else _HEAD.pack(0, correlation_id)
    )


def finish(parts: list[Part]) -> list[Part]:
    """Write the length into the first part; it counts all that follows it."""
    first = parts[0]
    assert isinstance(first, bytearray)
    size = len(first) if len(parts) == 1 else sum(map(len, parts))
    _LENGTH.pack_into(first, 0, size - LENGTH_SIZE)
    return parts
