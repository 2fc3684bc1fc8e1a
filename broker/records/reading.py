"""Records of a partition, read from its stored batches.

A batch that cannot be read stands in nobody's way: what comes before it is handed out first; then
it is told, with the offset that passes it. A reader that asks for that passes it, and is told.
"""

from __future__ import annotations

from typing import NamedTuple

from tidelog.broker.partition import Fetched, Partition
from tidelog.storage.batches.record import Record
from tidelog.storage.batches.record_batch import (
    HEADER_SIZE,
    BatchHeader,
    batches,
    decode_batch,
    fault,
    read_header,
)
from tidelog.storage.buffers import Buffer
from tidelog.storage.errors import (
    CorruptBatch,
    DecompressionTooLarge,
    UnreadableBatch,
    UnsupportedCodec,
)

_READ_BYTES = 256 * 1024


async def read_records(
    partition: Partition,
    offset: int,
    max_records: int,
    max_bytes: int,
    skipped: list[UnreadableBatch] | None = None,
) -> tuple[list[Record], int]:
    """Records from ``offset`` on, up to the bounds, and the offset to go on from.

    Stops before a batch that cannot be read, or passes it where there is a list of ``skipped``
    ones to add it to. Raises OffsetOutOfRange, and UnreadableBatch where no record comes first.
    """
    records: list[Record] = []
    left = max_records
    while left > 0 and max_bytes > 0:
        try:
            fetched = await _read(partition, offset, min(max_bytes, _READ_BYTES))
            if not fetched.data or (records and fetched.size > max_bytes):
                break
            found, offset, size = _records_from(partition, fetched, offset, left, max_bytes)
        except UnreadableBatch as error:
            if skipped is None and not records:
                raise
            if skipped is None:
                break
            skipped.append(error)
            offset = error.next_offset
            left -= 1
            continue
        records += found
        left -= len(found)
        max_bytes -= size
    return records, offset


async def _read(partition: Partition, offset: int, max_bytes: int) -> Fetched[Buffer]:
    """As ``Partition.read``; where a header is damaged, the sound batches before it.

    Raises UnreadableBatch where there are none: nobody knows where that batch ends.
    """
    try:
        return await partition.read(offset, max_bytes)
    except CorruptBatch:
        pass
    try:
        return await partition.read(offset, 1)
    except CorruptBatch as error:
        raise UnreadableBatch(
            partition.topic,
            partition.index,
            offset,
            partition.segment_end(offset),
            f"{error.reason}, in {error.path} at byte {error.position}",
            damaged=True,
        ) from error


class _Found(NamedTuple):
    """Records, the offset to go on from, and the bytes of their batches."""

    records: list[Record]
    next_offset: int
    size: int


def _records_from(
    partition: Partition, fetched: Fetched[Buffer], offset: int, max_records: int, max_bytes: int
) -> _Found:
    """The records from ``offset`` on, up to the first batch that cannot be read.

    At most ``max_records`` with together about ``max_bytes``, but at least one. Raises
    UnreadableBatch where none comes first.
    """
    records: list[Record] = []
    size, compressed = 0, False
    following = offset
    try:
        for buffer in fetched.data:
            end = 0
            for position, header in batches(buffer):
                batch_size = header.size
                end = position + batch_size
                reason = fault(buffer, position)
                if reason is not None:
                    after = _sound_after(buffer, position)
                    if after is None or after > offset:
                        raise _Damaged(reason)
                    continue
                found = _records_at(buffer, position, header)
                if header.base_offset < offset:
                    found = [record for record in found if record.offset >= offset]
                records += found
                size += batch_size
                compressed = compressed or header.codec != 0
                following = header.next_offset
                if len(records) >= max_records or size >= max_bytes:
                    # Keys and values are never more than the batches they came in, as they came.
                    fits = size <= max_bytes and not compressed
                    kept = records[:max_records]
                    kept = kept if fits else _bounded(kept, max_bytes)
                    cut = len(kept) < len(records)
                    return _Found(kept, kept[-1].offset + 1 if cut else following, size)
            if end < len(buffer):
                position = end
                raise _Damaged("the header of a batch is damaged")
    except (_Damaged, CorruptBatch, DecompressionTooLarge, UnsupportedCodec) as error:
        if records:
            return _Found(records, following, size)
        raise _unreadable(partition, fetched, buffer, position, following, error) from error
    return _Found(records, fetched.next_offset, size)


class _Damaged(Exception):
    """A batch is not the bytes that were written."""


def _records_at(buffer: Buffer, position: int, header: BatchHeader) -> list[Record]:
    """The records of a batch, none of a control batch.

    A producer may have numbered them as it liked: where all are there, they are as they lie.
    """
    if header.is_control or not header.record_count:
        return []
    records = decode_batch(buffer, position, header)
    base_offset, last = header.base_offset, header.last_offset_delta
    if records[-1].offset == base_offset + last and records[0].offset >= base_offset:
        return records
    if len(records) == last + 1:
        return [one._replace(offset=base_offset + n) for n, one in enumerate(records)]
    return records


def _bounded(records: list[Record], max_bytes: int) -> list[Record]:
    size = 0
    for count, record in enumerate(records):
        size += len(record.key or b"") + len(record.value or b"")
        if size > max_bytes and count:
            return records[:count]
    return records


def _unreadable(
    partition: Partition,
    fetched: Fetched[Buffer],
    buffer: Buffer,
    position: int,
    offset: int,
    error: Exception,
) -> UnreadableBatch:
    """The batch at ``position``, of which nothing before ``offset`` is asked for."""
    place = partition.topic, partition.index
    if isinstance(error, _Damaged):
        following = _sound_after(buffer, position) or fetched.next_offset
        following = min(max(following, offset + 1), partition.high_watermark)
        reason = f"{error}, in {partition.where}"
        return UnreadableBatch(*place, offset, following, reason, damaged=True)
    header = read_header(buffer, position)
    offset = max(offset, header.base_offset)
    time = header.max_timestamp if header.is_log_append_time else header.base_timestamp
    reason = error.reason if isinstance(error, CorruptBatch) else str(error)
    return UnreadableBatch(*place, offset, header.next_offset, reason, timestamp=time)


def _sound_after(buffer: Buffer, position: int) -> int | None:
    """The base offset of the batch that follows a damaged one, if that can be found."""
    if position + HEADER_SIZE > len(buffer):
        return None
    position += max(read_header(buffer, position).size, HEADER_SIZE)
    return read_header(buffer, position).base_offset if fault(buffer, position) is None else None
