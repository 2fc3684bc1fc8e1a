"""Varints of record batches: zigzag, up to 64 bits, seven bits a byte, lowest first."""

from __future__ import annotations

from tidelog.storage.errors import CorruptBatch


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A zigzag varint of up to 64 bits and the position after it."""
    byte = data[at]
    at += 1
    raw = byte & 0x7F
    shift = 7
    while byte & 0x80:
        if shift > 63:
            raise CorruptBatch("a varint has more than ten bytes")
        byte = data[at]
        at += 1
        raw |= (byte & 0x7F) << shift
        shift += 7
    return (raw >> 1) ^ -(raw & 1), at


def _varint(value: int) -> bytes:
    """Zigzag varint of up to 64 bits."""
    raw = (value << 1) ^ (value >> 63)
    encoded = bytearray()
    while raw > 0x7F:
        encoded.append(raw & 0x7F | 0x80)
        raw >>= 7
    encoded.append(raw)
    return bytes(encoded)


_SMALL_VARINTS = [_varint(value) for value in range(2048)]


def varint(value: int) -> bytes:
    """Zigzag varint; small values come from a table."""
    return _SMALL_VARINTS[value] if 0 <= value < 2048 else _varint(value)
