"""Compressed streams that stricter readers refuse: all that Kafka's Java reader reads is read."""

from __future__ import annotations

import gzip
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.odd_batches import BODY, LARGE, MANY, READABLE, STREAMS, frame, member
from tidelog.storage.batches.compression import decompress
from tidelog.storage.batches.lenient_streams import read_gzip, read_lz4
from tidelog.storage.batches.record_batch import check_batches, decode_records
from tidelog.storage.errors import CorruptBatch, DecompressionTooLarge

MIB = 1024 * 1024


@pytest.mark.parametrize("name", STREAMS)
def test_every_form_is_read(name: str) -> None:
    codec, stream = STREAMS[name]
    assert bytes(decompress(codec, stream, MIB)) == BODY
    with pytest.raises(DecompressionTooLarge):
        decompress(codec, stream, len(BODY) - 1)


@pytest.mark.parametrize("name", LARGE)
def test_many_pieces_are_read_whole(name: str) -> None:
    codec, stream = LARGE[name]
    assert bytes(decompress(codec, stream, MIB)) == MANY
    with pytest.raises(DecompressionTooLarge):
        decompress(codec, stream, len(MANY) - 1)


@pytest.mark.parametrize("name", READABLE)
def test_every_readable_batch_has_its_records(name: str) -> None:
    batch = READABLE[name]
    (header,) = check_batches(batch)
    offsets = [record.offset for record in decode_records(batch)]
    assert offsets == list(range(header.record_count))


@given(
    parts=st.lists(st.binary(max_size=300), min_size=1, max_size=5),
    after=st.binary(max_size=40).filter(lambda data: not data.startswith(b"\x1f\x8b\x08")),
)
def test_gzip_ends_where_no_other_member_begins(parts: list[bytes], after: bytes) -> None:
    stream = b"".join(map(gzip.compress, parts))
    assert bytes(decompress(1, stream + after, MIB)) == b"".join(parts)
    assert bytes(read_gzip(memoryview(stream + after), MIB)) == b"".join(parts)


@given(data=st.binary(max_size=3000), size=st.booleans(), after=st.binary(max_size=40))
def test_lz4_ends_with_its_frame(data: bytes, size: bool, after: bytes) -> None:
    assert bytes(read_lz4(memoryview(frame(data, store_size=size) + after), MIB)) == data


def test_blocks_and_pieces_of_every_size() -> None:
    data = random.Random(7).randbytes(300_000) + bytes(700_000)
    for block_size in range(4, 8):
        assert bytes(read_lz4(frame(data, block_size=block_size), 2 * MIB)) == data
    for level in (0, 1, 9):
        assert bytes(read_gzip(gzip.compress(data, level), 2 * MIB)) == data


@given(data=st.binary(max_size=300), at=st.integers(0, 200), flip=st.integers(1, 255))
def test_damage_ends_in_our_own_errors(data: bytes, at: int, flip: int) -> None:
    for read, packed in ((read_gzip, member(BODY)), (read_lz4, frame(BODY))):
        damaged = bytearray(packed)
        damaged[at % len(damaged)] ^= flip
        for stream in (bytes(damaged), packed[:at], packed[: at % 20] + data):
            try:
                assert len(read(stream, 500)) <= 500
            except (CorruptBatch, DecompressionTooLarge):
                continue


def test_members_that_claim_names_without_end_are_read_in_one_go() -> None:
    """Each would have the whole rest searched, or copied."""
    many = member(b"x", 8, b"n\0") * 20_000
    assert bytes(read_gzip(many + b"\0", MIB)) == b"x" * 20_000
    with pytest.raises(CorruptBatch):
        read_gzip(b"\x1f\x8b\x08\x08" + b"n" * MIB, MIB)


def test_sizes_of_blocks_that_lie_are_refused() -> None:
    head = frame(b"")[:7]
    for size in (1, 2**31 - 1, 2**31 + 5, 2**32 - 1):
        with pytest.raises(CorruptBatch):
            read_lz4(head + struct.pack("<I", size) + b"abc"[: size & 3], MIB)
