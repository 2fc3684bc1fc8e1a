"""Batches and partitions for tests of the read cache."""

from __future__ import annotations

from typing import NamedTuple

from tidelog.storage.batches.record_batch import encode_batch, stamp
from tidelog.storage.cache.cached_run import LogId
from tidelog.storage.cache.read_cache import ReadCache

KIB = 1024
MIB = 1024 * KIB
LOG: LogId = ("flights", "00ff", 0)
OTHER: LogId = ("flights", "00ff", 1)
ELSEWHERE: LogId = ("weather", "00aa", 0)


class Batch(NamedTuple):
    base_offset: int
    next_offset: int
    data: bytes


class ManualNs:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def make_batch(base_offset: int, records: int = 1, value_bytes: int = 20, fill: int = 0) -> Batch:
    value = bytes([fill % 256]) * value_bytes
    data = encode_batch([(1000 + n, None, value, ()) for n in range(records)])
    stamp(data, 0, base_offset, 0)
    return Batch(base_offset, base_offset + records, bytes(data))


def make_batches(count: int, base_offset: int = 0, **shape: int) -> list[Batch]:
    batches = []
    for number in range(count):
        batches.append(make_batch(base_offset, fill=number, **shape))
        base_offset = batches[-1].next_offset
    return batches


def joined(batches: list[Batch]) -> bytes:
    return b"".join(batch.data for batch in batches)


def put(cache: ReadCache, log_id: LogId, batches: list[Batch], **how: object) -> None:
    cache.put(log_id, batches[0].base_offset, batches[-1].next_offset, joined(batches), **how)  # type: ignore[arg-type]


def append(cache: ReadCache, log_id: LogId, batch: Batch) -> None:
    cache.append(log_id, batch.base_offset, batch.next_offset, batch.data)


def got(cache: ReadCache, log_id: LogId, offset: int, max_bytes: int = MIB) -> bytes | None:
    found = cache.get(log_id, offset, max_bytes)
    return None if found is None else b"".join(found.data)
