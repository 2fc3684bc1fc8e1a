"""The record batch, format v2: the unit that is appended, stored, cached and served.

Apache Kafka's ``DefaultRecordBatch.java`` defines it (big-endian)::

     0  base offset      int64     stamped by the broker, outside the checksum
     8  length           int32     bytes after this field
    12  leader epoch     int32     stamped by the broker, outside the checksum
    16  magic            int8      2
    17  crc              uint32    CRC-32C of everything from attributes to the end
    21  attributes       int16     bits 0-2 codec, 3 log append time, 4 transactional,
                                   5 control, 6 delete horizon
    23  last offset delta int32
    27  base timestamp   int64     ms
    35  max timestamp    int64     ms
    43  producer id      int64     -1 for none
    51  producer epoch   int16
    53  base sequence    int32
    57  record count     int32
    61  records: one after the other, compressed together

A batch is opaque on its way through the broker: it is checked, stamped in place and passed on; only
readers that ask for records decode it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from crc32c import crc32c

from tidelog.storage.batches.batch_body import check_body
from tidelog.storage.batches.compression import compress, decompress
from tidelog.storage.batches.record import EncodableRecord, Record, pack_records, unpack_records
from tidelog.storage.buffers import Buffer, WritableBuffer
from tidelog.storage.errors import (
    CorruptBatch,
    DecompressionTooLarge,
    InvalidRecord,
    UnsupportedCodec,
)

_HEADER = struct.Struct(">qiibIhiqqqhii")
_OFFSET = struct.Struct(">q")
_LEADER_EPOCH = struct.Struct(">i")
_CRC = struct.Struct(">I")
_ATTRIBUTES = struct.Struct(">h")
_MAX_TIMESTAMP = struct.Struct(">q")

HEADER_SIZE = _HEADER.size
SIZE_PREFIX = 12
"""Bytes before the part that ``length`` counts."""
MAGIC = 2
CODEC_MASK = 0x07
LOG_APPEND_TIME = 0x08
TRANSACTIONAL = 0x10
CONTROL = 0x20
DELETE_HORIZON = 0x40
MAX_SEQUENCE = 2**31 - 1
DECODED_BYTES_MAX = 256 * 1024 * 1024
"""Default bound of what one batch may decompress to."""
DECODED_RECORDS_MAX = 1_000_000
"""Unpacked they take some 300 bytes each, and a few compressed bytes may stand for any number."""

_CRC_START = 21


class BatchHeader(NamedTuple):
    """The fixed part of a batch, in the order of the bytes."""

    base_offset: int
    length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int

    @property
    def size(self) -> int:
        """Bytes of the whole batch."""
        return self.length + SIZE_PREFIX

    @property
    def last_offset(self) -> int:
        return self.base_offset + self.last_offset_delta

    @property
    def next_offset(self) -> int:
        return self.base_offset + self.last_offset_delta + 1

    @property
    def codec(self) -> int:
        return self.attributes & CODEC_MASK

    @property
    def is_log_append_time(self) -> bool:
        return bool(self.attributes & LOG_APPEND_TIME)

    @property
    def is_transactional(self) -> bool:
        return bool(self.attributes & TRANSACTIONAL)

    @property
    def is_control(self) -> bool:
        return bool(self.attributes & CONTROL)

    @property
    def delete_horizon_ms(self) -> int | None:
        """When compaction may drop the batch's tombstones; its base timestamp says so."""
        return self.base_timestamp if self.attributes & DELETE_HORIZON else None

    @property
    def last_sequence(self) -> int:
        """Sequence of the last record; sequences wrap from 2**31 - 1 to 0."""
        return (self.base_sequence + self.last_offset_delta) & MAX_SEQUENCE


def read_header(buffer: Buffer, position: int = 0) -> BatchHeader:
    """The header at ``position``; the buffer must hold all of its 61 bytes."""
    return tuple.__new__(BatchHeader, _HEADER.unpack_from(buffer, position))


def batches(buffer: Buffer, position: int = 0) -> Iterator[tuple[int, BatchHeader]]:
    """Position and header of each whole batch from ``position``; a torn last one ends it."""
    end = len(buffer)
    while position + HEADER_SIZE <= end:
        header = read_header(buffer, position)
        if header.length < HEADER_SIZE - SIZE_PREFIX or position + header.size > end:
            return
        yield position, header
        position += header.size


def fault(buffer: Buffer, position: int = 0) -> str | None:
    """What is wrong with the bytes of the batch at ``position``, or None for a sound one."""
    available = len(buffer) - position
    if available < HEADER_SIZE:
        return f"{available} bytes are too few for a batch header"
    header = read_header(buffer, position)
    if header.magic != MAGIC:
        return f"magic is {header.magic}, expected {MAGIC}"
    if header.length < HEADER_SIZE - SIZE_PREFIX or header.size > available:
        return f"length {header.length} does not fit the {available} bytes at hand"
    if header.crc != crc32c(memoryview(buffer)[position + _CRC_START : position + header.size]):
        return "checksum does not match"
    return None


def check_batches(buffer: Buffer) -> list[BatchHeader]:
    """The headers of batches that came from outside, each checked in full.

    Raises CorruptBatch for bytes that are no batch, InvalidRecord for a batch that no producer
    may send.
    """
    headers: list[BatchHeader] = []
    view = memoryview(buffer)
    position, end = 0, len(view)
    while position < end:
        if end - position < HEADER_SIZE:
            raise CorruptBatch(f"{end - position} bytes are too few for a batch header")
        header = read_header(view, position)
        size = header.length + SIZE_PREFIX
        if header.magic != MAGIC:
            raise CorruptBatch(f"magic is {header.magic}, expected {MAGIC}", None, position)
        if size < HEADER_SIZE or position + size > end:
            raise CorruptBatch(f"length {header.length} does not fit", None, position)
        if header.crc != crc32c(view[position + _CRC_START : position + size]):
            raise CorruptBatch("checksum does not match", None, position)
        _check_producible(header)
        body = view[position + HEADER_SIZE : position + size]
        check_body(body, header.attributes & CODEC_MASK, header.record_count)
        headers.append(header)
        position += size
    if not headers:
        raise CorruptBatch("there is no batch")
    return headers


def _check_producible(header: BatchHeader) -> None:
    if header.record_count <= 0 or header.record_count != header.last_offset_delta + 1:
        raise InvalidRecord(
            f"record count {header.record_count} does not agree with "
            f"last offset delta {header.last_offset_delta}"
        )
    if header.codec > 4:
        raise CorruptBatch(f"compression codec {header.codec} is unknown")
    if header.is_control:
        raise InvalidRecord("control batches are written by the broker only")
    if header.producer_id >= 0 and (header.producer_epoch < 0 or header.base_sequence < 0):
        raise InvalidRecord("a batch with a producer id needs an epoch and a sequence")


def stamp(buffer: WritableBuffer, position: int, base_offset: int, leader_epoch: int) -> None:
    """Give the batch its place in the log; both fields lie outside the checksum."""
    _OFFSET.pack_into(buffer, position, base_offset)
    _LEADER_EPOCH.pack_into(buffer, position + 12, leader_epoch)


def stamp_append_time(buffer: WritableBuffer, position: int, now_ms: int) -> None:
    """Make the broker's time the timestamp of every record in the batch."""
    header = read_header(buffer, position)
    _ATTRIBUTES.pack_into(buffer, position + 21, header.attributes | LOG_APPEND_TIME)
    _MAX_TIMESTAMP.pack_into(buffer, position + 35, now_ms)
    view = memoryview(buffer)
    checksum = crc32c(view[position + _CRC_START : position + header.size])
    _CRC.pack_into(buffer, position + 17, checksum)


def decode_records(
    buffer: Buffer, *, position: int = 0, max_bytes: int = DECODED_BYTES_MAX
) -> list[Record]:
    """The records of the one batch at ``position``.

    Raises CorruptBatch, DecompressionTooLarge or UnsupportedCodec.
    """
    return decode_batch(buffer, position, read_header(buffer, position), max_bytes)


def decode_batch(
    buffer: Buffer, position: int, header: BatchHeader, max_bytes: int = DECODED_BYTES_MAX
) -> list[Record]:
    """As ``decode_records``, for who has read the header."""
    if header.record_count > DECODED_RECORDS_MAX:
        raise CorruptBatch(f"it has {header.record_count} records, more than can be unpacked")
    body: Buffer = memoryview(buffer)[position + HEADER_SIZE : position + header.size]
    if header.codec:
        body = decompress(header.codec, body, max_bytes)
    append_time = header.max_timestamp if header.is_log_append_time else None
    base = header.base_offset, header.base_timestamp
    return unpack_records(bytes(body), header.record_count, *base, append_time)


def readable_records(batch: Buffer) -> list[Record] | None:
    """As ``decode_records``, None for a batch that nobody can read."""
    try:
        return decode_records(batch)
    except (CorruptBatch, DecompressionTooLarge, UnsupportedCodec):
        return None


def encode_batch(
    records: Sequence[EncodableRecord],
    *,
    codec: int = 0,
    producer_id: int = -1,
    producer_epoch: int = -1,
    base_sequence: int = -1,
    attributes: int = 0,
    base_offset: int = 0,
) -> bytearray:
    """One batch of at least one record, with offsets from ``base_offset`` on."""
    packed, max_timestamp = pack_records(records)
    if codec:
        packed = compress(codec, packed)
    batch = bytearray(HEADER_SIZE + len(packed))
    batch[HEADER_SIZE:] = packed
    _HEADER.pack_into(
        batch,
        0,
        base_offset,
        len(batch) - SIZE_PREFIX,
        -1,
        MAGIC,
        0,
        attributes | codec,
        len(records) - 1,
        records[0][0],
        max_timestamp,
        producer_id,
        producer_epoch,
        base_sequence,
        len(records),
    )
    _CRC.pack_into(batch, 17, crc32c(memoryview(batch)[_CRC_START:]))
    return batch


def assemble(header: BatchHeader, body: Buffer) -> bytearray:
    """A batch with this header and this body, its length and checksum made right."""
    batch = bytearray(HEADER_SIZE + len(body))
    batch[HEADER_SIZE:] = body
    _HEADER.pack_into(batch, 0, *header._replace(length=len(batch) - SIZE_PREFIX))
    _CRC.pack_into(batch, 17, crc32c(memoryview(batch)[_CRC_START:]))
    return batch
