"""Which partition a record goes to: by key as every Kafka client does, else sticky. Pure.

Keys are hashed with murmur2 (``Utils.java``), the sign bit is dropped and the remainder taken,
so the same key lands in the same partition from every client.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF
_MEMO_MAX = 65_536
_MEMO_KEY_BYTES_MAX = 64

_memo: dict[bytes, int] = {}


def murmur2(key: bytes) -> int:
    """The unsigned 32-bit hash of ``key``."""
    length = len(key)
    words = length >> 2
    h = _SEED ^ length
    for k in struct.unpack_from(f"<{words}I", key):
        k = k * _M & _MASK
        h = h * _M ^ (k ^ k >> 24) * _M
        h &= _MASK
    tail = length & 3
    if tail:
        h = (h ^ int.from_bytes(key[words << 2 :], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


def positive_hash(key: bytes) -> int:
    """The hash without its sign bit; keys seen before come from a bounded memo."""
    found = _memo.get(key)
    if found is None:
        found = murmur2(key) & 0x7FFFFFFF
        if len(key) <= _MEMO_KEY_BYTES_MAX:
            if len(_memo) >= _MEMO_MAX:
                _memo.clear()
            _memo[key] = found
    return found


def partitions_for_keys(keys: Sequence[bytes | None], partitions: int, keyless: int) -> list[int]:
    """The partition of each key, ``keyless`` for None."""
    memo = _memo.get
    return [
        keyless
        if key is None
        else (positive_hash(key) if (found := memo(key)) is None else found) % partitions
        for key in keys
    ]


class StickyPartitioner:
    """Keyless batches: one partition a batch, the next batch the next one."""

    def __init__(self) -> None:
        self._next = 0

    def partition(self, partitions: int) -> int:
        """The partition of the next batch."""
        chosen = self._next % partitions
        self._next = chosen + 1
        return chosen
