"""Record batches, byte for byte and field by field, against two other implementations."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords as AioMemoryRecords
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder

from tidelog.storage.batches.compression import CODEC_NAMES
from tidelog.storage.batches.record import Record
from tidelog.storage.batches.record_batch import (
    HEADER_SIZE,
    batches,
    check_batches,
    decode_records,
    encode_batch,
    fault,
    read_header,
    stamp,
    stamp_append_time,
)
from tidelog.storage.errors import (
    CorruptBatch,
    DecompressionTooLarge,
    InvalidRecord,
    UnsupportedCodec,
)

CODECS = pytest.mark.parametrize("codec", range(5), ids=CODEC_NAMES)
NOW = 1_700_000_000_000

RECORDS = [
    (NOW, b"key", b"value", [(b"trace", b"\x00\xff"), ("größe".encode(), None), (b"", b"")]),
    (NOW + 5, None, b"v" * 300, []),
    (NOW - 70, b"", None, []),
    (NOW + 10**9, b"k" * 200, b"", [(b"h" * 100, b"x" * 100)]),
]

timestamps = st.integers(0, 2**61)
payloads = st.none() | st.binary(max_size=300)
header_names = st.text(max_size=5).map(str.encode)
records_strategy = st.lists(
    st.tuples(timestamps, payloads, payloads, st.lists(st.tuples(header_names, payloads))),
    min_size=1,
    max_size=8,
)


def as_records(records: list[Any], base_offset: int = 0) -> list[Record]:
    """What a reader must see of what was encoded."""
    return [
        Record(
            base_offset + number,
            timestamp,
            key,
            value,
            tuple((name.decode(), content) for name, content in headers),
        )
        for number, (timestamp, key, value, headers) in enumerate(records)
    ]


def read_by_kafka_python(data: bytes) -> tuple[Any, list[Record]]:
    batch = MemoryRecords(data).next_batch()
    assert batch.validate_crc()
    found = list(batch)
    return batch, [Record(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in found]


def read_by_aiokafka(data: bytes) -> tuple[Any, list[Record]]:
    batch = AioMemoryRecords(data).next_batch()
    assert isinstance(batch, DefaultRecordBatch)
    assert batch.validate_crc()
    found: list[Any] = list(batch)
    return batch, [Record(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in found]


@CODECS
def test_kafka_python_reads_ours(codec: int) -> None:
    data = encode_batch(
        RECORDS, codec=codec, producer_id=77, producer_epoch=3, base_sequence=12, base_offset=500
    )
    stamp(data, 0, 9000, 4)
    batch, records = read_by_kafka_python(bytes(data))
    assert records == as_records(RECORDS, 9000)
    assert batch.base_offset == 9000
    assert batch.leader_epoch == 4
    assert batch.magic == 2
    assert batch.compression_type == codec
    assert batch.first_timestamp == NOW
    assert batch.max_timestamp == NOW + 10**9
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (77, 3, 12)
    assert batch.last_sequence == read_header(data).last_sequence == 15
    assert batch.last_offset == read_header(data).last_offset == 9003
    assert batch.records_count == 4
    assert batch.size_in_bytes == len(data) == read_header(data).size
    assert batch.timestamp_type == 0
    assert not batch.is_transactional
    assert not batch.is_control_batch


@CODECS
def test_aiokafka_reads_ours(codec: int) -> None:
    data = encode_batch(RECORDS, codec=codec)
    stamp(data, 0, 123, 0)
    batch, records = read_by_aiokafka(bytes(data))
    assert records == as_records(RECORDS, 123)
    assert batch.next_offset == read_header(data).next_offset == 127
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (-1, -1, -1)


@CODECS
def test_we_read_kafka_pythons(codec: int) -> None:
    builder = MemoryRecordsBuilder(
        2, codec, 10**6, producer_id=5, producer_epoch=1, base_sequence=8
    )
    for timestamp, key, value, headers in RECORDS:
        builder.append(timestamp, key, value, [(name.decode(), data) for name, data in headers])
    builder.close()
    data = bytes(builder.buffer())
    (header,) = check_batches(data)
    assert decode_records(data) == as_records(RECORDS)
    assert header.codec == codec
    assert header.record_count == 4
    assert (header.base_timestamp, header.max_timestamp) == (NOW, NOW + 10**9)
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (5, 1, 8)
    assert header.last_sequence == 11


@CODECS
def test_we_read_aiokafkas(codec: int) -> None:
    builder = DefaultRecordBatchBuilder(
        2, codec, is_transactional=0, producer_id=5, producer_epoch=1, base_sequence=8,
        batch_size=10**6,
    )  # fmt: skip
    for number, (timestamp, key, value, headers) in enumerate(RECORDS):
        named = [(name.decode(), content) for name, content in headers]
        assert builder.append(number, timestamp, key, value, named)
    data = bytes(builder.build())
    (header,) = check_batches(data)
    assert decode_records(data) == as_records(RECORDS)
    assert header.codec == codec
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (5, 1, 8)


def test_uncompressed_bytes_are_the_same_as_theirs() -> None:
    builder = MemoryRecordsBuilder(2, 0, 10**6, producer_id=5, producer_epoch=1, base_sequence=8)
    for timestamp, key, value, headers in RECORDS:
        builder.append(timestamp, key, value, [(name.decode(), data) for name, data in headers])
    builder.close()
    ours = encode_batch(RECORDS, producer_id=5, producer_epoch=1, base_sequence=8)
    theirs = bytes(builder.buffer())
    # The leader epoch is the broker's to fill in; they write 0, we write the unknown.
    assert bytes(ours[:12]) + ours[16:] == theirs[:12] + theirs[16:]


@given(records=records_strategy, codec=st.integers(0, 4), base_offset=st.integers(0, 2**62))
def test_round_trip(records: list[Any], codec: int, base_offset: int) -> None:
    data = encode_batch(records, codec=codec, base_offset=base_offset)
    (header,) = check_batches(data)
    assert decode_records(data) == as_records(records, base_offset)
    assert header.max_timestamp == max(record[0] for record in records)
    assert header.next_offset == base_offset + len(records)


@given(records=records_strategy)
def test_aiokafka_agrees_on_anything(records: list[Any]) -> None:
    _, found = read_by_aiokafka(bytes(encode_batch(records)))
    assert found == as_records(records)


def test_stamping_leaves_the_checksum_right() -> None:
    data = encode_batch(RECORDS)
    checksum = read_header(data).crc
    stamp(data, 0, 2**40, 7)
    header = read_header(data)
    assert (header.base_offset, header.leader_epoch, header.crc) == (2**40, 7, checksum)
    assert fault(data) is None


def test_append_time_is_the_time_of_every_record() -> None:
    data = bytearray(b"before") + encode_batch(RECORDS, codec=4)
    stamp_append_time(data, 6, NOW + 42)
    header = read_header(data, 6)
    assert header.is_log_append_time
    assert header.codec == 4
    assert header.max_timestamp == NOW + 42
    assert {record.timestamp for record in decode_records(data, position=6)} == {NOW + 42}
    batch, records = read_by_kafka_python(bytes(data[6:]))
    assert batch.timestamp_type == 1
    assert {record.timestamp for record in records} == {NOW + 42}


def test_batches_are_walked_up_to_a_torn_one() -> None:
    first, second = encode_batch(RECORDS), encode_batch(RECORDS[:1])
    whole = bytes(first + second)
    assert [position for position, _ in batches(whole)] == [0, len(first)]
    for keep in range(len(first), len(whole)):
        assert [position for position, _ in batches(whole[:keep])] == [0]
    assert not list(batches(b""))
    assert not list(batches(bytes(100)))


# What must not get in


def rewritten(data: bytearray, at: int, form: str, value: int) -> bytearray:
    """A batch with one field changed and a checksum that fits."""
    struct.pack_into(form, data, at, value)
    struct.pack_into(">I", data, 17, crc32c(bytes(data[21:])))
    return data


@pytest.mark.parametrize("at", [12 + 4, 17, 20, 21, 30, 60, 61, 100])
def test_a_flipped_bit_is_found(at: int) -> None:
    data = encode_batch(RECORDS)
    data[at] ^= 0x10
    with pytest.raises(CorruptBatch):
        check_batches(data)
    assert fault(data) is not None


@pytest.mark.parametrize("keep", [0, 1, 11, 12, 16, 60, 61, 100])
def test_a_cut_batch_is_refused(keep: int) -> None:
    data = encode_batch(RECORDS)
    with pytest.raises(CorruptBatch):
        check_batches(data[:keep])
    with pytest.raises(CorruptBatch):
        check_batches(data + data[:keep] if keep else b"")


@pytest.mark.parametrize("length", [-(2**31), -12, -1, 0, 48, 2**31 - 1])
def test_a_length_that_lies_is_refused(length: int) -> None:
    data = encode_batch(RECORDS)
    struct.pack_into(">i", data, 8, length)
    with pytest.raises(CorruptBatch):
        check_batches(data)
    assert fault(data) is not None
    assert not list(batches(data))


@pytest.mark.parametrize("magic", [0, 1, 3, -1])
def test_another_magic_is_refused(magic: int) -> None:
    with pytest.raises(CorruptBatch, match="magic"):
        check_batches(rewritten(encode_batch(RECORDS), 16, ">b", magic))


@pytest.mark.parametrize(
    ("at", "form", "value"),
    [
        (57, ">i", 3),
        (57, ">i", 0),
        (57, ">i", -1),
        (23, ">i", 4),
        (23, ">i", -1),
        (21, ">h", 0x20),
    ],
    ids=["fewer", "none", "negative", "gap", "negative delta", "control"],
)
def test_a_sound_batch_that_no_producer_may_send(at: int, form: str, value: int) -> None:
    with pytest.raises(InvalidRecord):
        check_batches(rewritten(encode_batch(RECORDS), at, form, value))


def test_a_producer_id_needs_epoch_and_sequence() -> None:
    for epoch, sequence in ((-1, 0), (0, -1)):
        batch = encode_batch(RECORDS, producer_id=1, producer_epoch=epoch, base_sequence=sequence)
        with pytest.raises(InvalidRecord):
            check_batches(batch)


@pytest.mark.parametrize("codec", [5, 6, 7])
def test_an_unknown_codec_is_refused(codec: int) -> None:
    batch = rewritten(encode_batch(RECORDS), 21, ">h", codec)
    with pytest.raises(CorruptBatch):
        check_batches(batch)
    with pytest.raises(UnsupportedCodec):
        decode_records(batch)


@pytest.mark.parametrize("codec", [1, 2, 3, 4])
def test_a_bomb_is_refused_when_decoded(codec: int) -> None:
    bomb = encode_batch([(NOW, None, bytes(1_000_000), [])], codec=codec)
    check_batches(bomb)
    with pytest.raises(DecompressionTooLarge):
        decode_records(bomb, max_bytes=500_000)
    assert len(decode_records(bomb, max_bytes=1_100_000)) == 1


@given(body=st.binary(max_size=200), count=st.integers(-1, 200), codec=st.integers(0, 7))
def test_any_body_ends_in_our_own_errors(body: bytes, count: int, codec: int) -> None:
    batch = encode_batch([(NOW, None, None, ())])[:HEADER_SIZE] + body
    struct.pack_into(">i", batch, 8, len(batch) - 12)
    struct.pack_into(">h", batch, 21, codec)
    struct.pack_into(">i", batch, 57, count)
    with contextlib.suppress(CorruptBatch, DecompressionTooLarge, UnsupportedCodec):
        assert len(decode_records(batch, max_bytes=10_000)) == count


@given(at=st.integers(0), change=st.integers(1, 255), codec=st.integers(0, 4))
def test_a_damaged_body_ends_in_our_own_errors(at: int, change: int, codec: int) -> None:
    batch = encode_batch(RECORDS, codec=codec)
    batch[HEADER_SIZE + at % (len(batch) - HEADER_SIZE)] ^= change
    with contextlib.suppress(CorruptBatch, DecompressionTooLarge):
        assert len(decode_records(batch, max_bytes=10_000_000)) == len(RECORDS)


@given(data=st.binary(max_size=300))
def test_random_bytes_are_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptBatch):
        check_batches(data)
