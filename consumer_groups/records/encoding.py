"""The primitive types of Kafka's messages, read and written: big-endian integers, strings, bytes.

Plain strings carry an int16 length and byte fields an int32 one, -1 for null; the compact forms of
flexible versions carry an unsigned varint of length + 1, 0 for null (KIP-482). Reading past the
end or bad UTF-8 raises ValueError.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import TypeVar
from uuid import UUID

T = TypeVar("T")

_INT16 = struct.Struct(">h")
_INT32 = struct.Struct(">i")
_INT64 = struct.Struct(">q")


class Reader:
    """Reads one message from its first byte on."""

    __slots__ = ("_at", "_data", "_end")

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self._at = at
        self._end = len(data)

    def _take(self, size: int) -> int:
        start = self._at
        if size < 0 or start + size > self._end:
            raise ValueError(f"{size} bytes at {start} do not fit {self._end}")
        self._at = start + size
        return start

    def raw(self, size: int) -> bytes:
        start = self._take(size)
        return self._data[start : start + size]

    def int8(self) -> int:
        return int.from_bytes(self.raw(1), "big", signed=True)

    def int16(self) -> int:
        return int(_INT16.unpack_from(self._data, self._take(2))[0])

    def int32(self) -> int:
        return int(_INT32.unpack_from(self._data, self._take(4))[0])

    def int64(self) -> int:
        return int(_INT64.unpack_from(self._data, self._take(8))[0])

    def uuid(self) -> UUID:
        return UUID(bytes=self.raw(16))

    def nullable_string(self) -> str | None:
        size = self.int16()
        return None if size < 0 else self.raw(size).decode()

    def string(self) -> str:
        return self.nullable_string() or ""

    def bytes_field(self) -> bytes:
        size = self.int32()
        return b"" if size < 0 else self.raw(size)

    def array(self, item: Callable[[], T]) -> list[T]:
        return [item() for _ in range(self._count(self.int32()))]

    def _count(self, count: int) -> int:
        if count > self._end - self._at:
            raise ValueError(f"{count} entries do not fit the rest of the message")
        return max(count, 0)

    def varint(self) -> int:
        """An unsigned varint of at most 32 bits."""
        value = shift = 0
        while True:
            byte = self._data[self._take(1)]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 28:
                raise ValueError("a varint is too long")

    def compact_nullable_string(self) -> str | None:
        size = self.varint()
        return None if size == 0 else self.raw(size - 1).decode()

    def compact_string(self) -> str:
        return self.compact_nullable_string() or ""

    def compact_bytes(self) -> bytes:
        size = self.varint()
        return b"" if size == 0 else self.raw(size - 1)

    def compact_array(self, item: Callable[[], T]) -> list[T]:
        return [item() for _ in range(self._count(self.varint() - 1))]

    def tagged_fields(self) -> dict[int, bytes]:
        fields: dict[int, bytes] = {}
        for _ in range(self.varint()):
            tag = self.varint()
            fields[tag] = self.raw(self.varint())
        return fields


def int16(value: int) -> bytes:
    return _INT16.pack(value)


def int32(value: int) -> bytes:
    return _INT32.pack(value)


def int64(value: int) -> bytes:
    return _INT64.pack(value)


def string(text: str) -> bytes:
    data = text.encode()
    return _INT16.pack(len(data)) + data


def nullable_string(text: str | None) -> bytes:
    return b"\xff\xff" if text is None else string(text)


def bytes_field(data: bytes) -> bytes:
    return _INT32.pack(len(data)) + data


def array(items: Iterable[bytes]) -> bytes:
    parts = list(items)
    return _INT32.pack(len(parts)) + b"".join(parts)


def varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def compact_string(text: str) -> bytes:
    data = text.encode()
    return varint(len(data) + 1) + data


def compact_nullable_string(text: str | None) -> bytes:
    return b"\x00" if text is None else compact_string(text)


def compact_bytes(data: bytes) -> bytes:
    return varint(len(data) + 1) + data


def compact_array(items: Iterable[bytes]) -> bytes:
    parts = list(items)
    return varint(len(parts) + 1) + b"".join(parts)


def tagged_fields(fields: dict[int, bytes]) -> bytes:
    parts = [varint(len(fields))]
    for tag in sorted(fields):
        parts += (varint(tag), varint(len(fields[tag])), fields[tag])
    return b"".join(parts)
