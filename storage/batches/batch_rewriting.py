"""A batch with fewer records, or with the time at which its tombstones may go.

Offsets, sequences, codec and leader epoch stay what they were: the base offset, the last offset
delta and the base sequence tell what the batch once held (Apache Kafka's ``MemoryRecords.java``,
``filterTo``). A batch that keeps no record can stay as a header that holds its place.
"""

from __future__ import annotations

from collections.abc import Sequence

from tidelog.storage.batches.compression import compress, decompress
from tidelog.storage.batches.record import Record
from tidelog.storage.batches.record_batch import (
    CODEC_MASK,
    DECODED_BYTES_MAX,
    DELETE_HORIZON,
    HEADER_SIZE,
    BatchHeader,
    assemble,
)
from tidelog.storage.batches.varint import read_varint, varint
from tidelog.storage.buffers import Buffer
from tidelog.storage.errors import CorruptBatch


def with_records(
    batch: Buffer, header: BatchHeader, kept: Sequence[Record], horizon_ms: int | None = None
) -> bytearray:
    """The batch with only the records ``kept``, some of those that it holds.

    With ``horizon_ms`` that becomes its delete horizon. Raises CorruptBatch where records have
    the same number, so that they cannot be told apart; DecompressionTooLarge.
    """
    body: Buffer = memoryview(batch)[HEADER_SIZE : header.size]
    if header.codec:
        body = decompress(header.codec, body, DECODED_BYTES_MAX)
    stored = _split(bytes(body), header.record_count)
    offsets = {record.offset for record in kept}
    parts = [data for delta, data in stored if header.base_offset + delta in offsets]
    if not len(parts) == len(kept) == len(offsets):
        raise CorruptBatch("records have the same number")
    changed = header._replace(record_count=len(kept))
    if not header.is_log_append_time:
        changed = changed._replace(max_timestamp=max(record.timestamp for record in kept))
    if horizon_ms is not None:
        attributes = header.attributes | DELETE_HORIZON
        changed = changed._replace(attributes=attributes, base_timestamp=horizon_ms)
        deltas = [record.timestamp - horizon_ms for record in kept]
        parts = [_with_delta(data, delta) for data, delta in zip(parts, deltas, strict=True)]
    packed = b"".join(parts)
    return assemble(changed, compress(header.codec, packed) if header.codec else packed)


def without_records(header: BatchHeader) -> bytearray:
    """The batch as a header alone, which keeps its offsets and its producer's sequence."""
    attributes = header.attributes & ~(CODEC_MASK | DELETE_HORIZON)
    time = header.max_timestamp
    empty = header._replace(attributes=attributes, base_timestamp=time, record_count=0)
    return assemble(empty, b"")


def _split(body: bytes, count: int) -> list[tuple[int, bytes]]:
    """Offset delta and bytes of each record."""
    records = []
    at = 0
    for _ in range(count):
        start = at
        length, at = read_varint(body, at)
        end = at + length
        _, at = read_varint(body, at + 1)
        delta, _ = read_varint(body, at)
        records.append((delta, body[start:end]))
        at = end
    return records


def _with_delta(record: bytes, timestamp_delta: int) -> bytes:
    """A record whose timestamp is ``timestamp_delta`` from its batch's base."""
    _, start = read_varint(record, 0)
    _, rest = read_varint(record, start + 1)
    body = record[start : start + 1] + varint(timestamp_delta) + record[rest:]
    return varint(len(body)) + body
