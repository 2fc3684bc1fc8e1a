"""The first look at a batch's body: what cannot be is refused, and nothing that can be read."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.odd_batches import (
    BROKEN,
    BROKEN_INSIDE,
    BROKEN_LATER,
    CODECS,
    COMPRESSED,
    MARKED_AS_NONE,
    MISLABELLED,
    READABLE,
    batch,
    raw_snappy,
    record,
    sized,
    varint,
)
from tidelog.storage.batches.batch_body import check_body
from tidelog.storage.batches.record_batch import check_batches, decode_records
from tidelog.storage.errors import CorruptBatch, DecompressionTooLarge, InvalidRecord

REFUSED = {**BROKEN, **MISLABELLED, **MARKED_AS_NONE}
TAKEN = {**READABLE, **BROKEN_INSIDE, **BROKEN_LATER}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(InvalidRecord):
        check_batches(REFUSED[name])


@pytest.mark.parametrize("name", TAKEN)
def test_what_only_a_longer_look_would_tell_is_taken(name: str) -> None:
    (header,) = check_batches(TAKEN[name])
    assert header.size == len(TAKEN[name])


@pytest.mark.parametrize("name", {**BROKEN_INSIDE, **BROKEN_LATER})
def test_that_cannot_be_read_indeed(name: str) -> None:
    with pytest.raises(CorruptBatch):
        decode_records(TAKEN[name])


SIZES = (0, 1, 62, 63, 64, 65, 127, 128, 8191, 8192, 8193, 20_000)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 20])
@pytest.mark.parametrize("key", [None, *SIZES])
def test_records_of_every_size_are_taken(key: int | None, count: int) -> None:
    keyed = varint(-1) if key is None else sized(bytes(key))
    for value in (None, *SIZES):
        valued = varint(-1) if value is None else sized(bytes(value))
        few = varint(2) + (sized(b"name") + valued) * 2
        for headers in (b"\0", few, varint(20) + b"\0\1" * 20):
            body = record(0, key=keyed, value=valued, headers=headers) * count
            check_body(memoryview(body), 0, count)


@given(
    name=st.sampled_from(sorted(CODECS)),
    at=st.integers(0, 60),
    change=st.integers(1, 255),
    count=st.integers(1, 5),
)
def test_nothing_that_can_be_read_is_refused(name: str, at: int, change: int, count: int) -> None:
    body = bytearray(COMPRESSED[name])
    body[at % len(body)] ^= change
    data = batch(bytes(body), CODECS[name], count)
    try:
        check_batches(data)
    except InvalidRecord:
        with pytest.raises((CorruptBatch, DecompressionTooLarge)):
            decode_records(data)


@given(body=st.binary(max_size=300), codec=st.integers(0, 4), count=st.integers(1, 2**31 - 1))
def test_any_body_ends_in_our_own_error(body: bytes, codec: int, count: int) -> None:
    with contextlib.suppress(InvalidRecord):
        check_body(memoryview(body), codec, count)


@given(body=st.binary(min_size=7, max_size=3000), count=st.integers(1, 400))
def test_every_raw_snappy_block_is_taken(body: bytes, count: int) -> None:
    count = min(count, len(body) // 7)
    check_body(memoryview(raw_snappy(body)), CODECS["snappy"], count)
