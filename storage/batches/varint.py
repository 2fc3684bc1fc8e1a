"""Varints of record batches: zigzag, up to 64 bits, seven bits a byte, lowest first."""

from __future__ import annotations

from tidelog.storage.errors import CorruptBatch

SMALL_NUMBERS = [0] * (1 << 14)
"""The number that a varint of one or two bytes stands for, by its fourteen bits."""
SMALL_NUMBERS[::2] = range(1 << 13)
SMALL_NUMBERS[1::2] = range(-1, -(1 << 13) - 1, -1)


def read_varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """A zigzag varint of up to 64 bits and the position after it."""
    byte = data[at]
    at += 1
    if byte < 0x80:
        return SMALL_NUMBERS[byte], at
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


def varint(value: int) -> bytes:
    """Zigzag varint of up to 64 bits."""
    raw = (value << 1) ^ (value >> 63)
    encoded = bytearray()
    while raw > 0x7F:
        encoded.append(raw & 0x7F | 0x80)
        raw >>= 7
    encoded.append(raw)
    return bytes(encoded)


class _Varints(dict[int, bytes]):
    """Small ones are kept, others are made when they are asked for."""

    def __missing__(self, value: int) -> bytes:
        return varint(value)


VARINTS = _Varints((value, varint(value)) for value in range(-1, 2048))
"""``VARINTS[value]`` is ``varint(value)``, without a call for the usual ones."""
