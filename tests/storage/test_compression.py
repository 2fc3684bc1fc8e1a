"""Codecs against the reference implementations, and against bombs."""

from __future__ import annotations

import contextlib
import gzip
import json
import subprocess
import sys
import textwrap

import cramjam
import lz4.frame
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from kafka import codec as kafka_python

from tidelog.storage.batches.compression import CODEC_NAMES, compress, decompress
from tidelog.storage.errors import CorruptBatch, DecompressionTooLarge, UnsupportedCodec

CODECS = [1, 2, 3, 4]
MIB = 1024 * 1024
TEXT = b'{"carrier":"UA","flight":1545,"origin":"EWR"}' * 3000

THEIR_COMPRESS = {
    1: gzip.compress,
    2: kafka_python.snappy_encode,
    3: kafka_python.lz4_encode,
    4: kafka_python.zstd_encode,
}
THEIR_DECOMPRESS = {
    1: gzip.decompress,
    2: kafka_python.snappy_decode,
    3: lz4.frame.decompress,
    4: kafka_python.zstd_decode,
}


@pytest.fixture(params=CODECS, ids=[CODEC_NAMES[codec] for codec in CODECS])
def codec(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.mark.parametrize("data", [b"", b"x", TEXT, bytes(range(256)) * 300], ids=len)
def test_what_we_write_others_read_and_what_they_write_we_read(codec: int, data: bytes) -> None:
    assert THEIR_DECOMPRESS[codec](compress(codec, data)) == data
    assert bytes(decompress(codec, THEIR_COMPRESS[codec](data), MIB)) == data


@given(data=st.binary(max_size=100_000), codec=st.sampled_from([0, *CODECS]))
def test_round_trip(data: bytes, codec: int) -> None:
    assert bytes(decompress(codec, compress(codec, data), len(data))) == data


def test_a_slice_of_a_larger_buffer_is_enough(codec: int) -> None:
    packed = compress(codec, TEXT)
    view = memoryview(b"before" + packed + b"after")[6 : 6 + len(packed)]
    assert bytes(decompress(codec, view, MIB)) == TEXT


def test_raw_snappy_is_read_too() -> None:
    assert bytes(decompress(2, bytes(cramjam.snappy.compress_raw(TEXT)), MIB)) == TEXT


def test_lz4_blocks_are_independent_as_the_java_reader_demands() -> None:
    flags = compress(3, TEXT)[4]
    assert flags >> 6 == 1
    assert flags & 0x20


def test_frames_one_after_the_other_and_without_declared_size() -> None:
    stream = zstandard.ZstdCompressor().compressobj()
    undeclared = stream.compress(TEXT) + stream.flush()
    assert bytes(decompress(4, undeclared + undeclared, MIB)) == TEXT * 2
    assert bytes(decompress(1, gzip.compress(TEXT) + gzip.compress(b"end"), MIB)) == TEXT + b"end"


def test_the_limit_is_exact(codec: int) -> None:
    packed = compress(codec, TEXT)
    assert bytes(decompress(codec, packed, len(TEXT))) == TEXT
    with pytest.raises(DecompressionTooLarge) as caught:
        decompress(codec, packed, len(TEXT) - 1)
    assert caught.value.limit == len(TEXT) - 1


def test_uncompressed_data_obeys_the_limit_too() -> None:
    assert decompress(0, b"abc", 3) == b"abc"
    with pytest.raises(DecompressionTooLarge):
        decompress(0, b"abcd", 3)


@pytest.mark.parametrize("number", [5, 6, 7])
def test_an_unknown_codec_is_named(number: int) -> None:
    with pytest.raises(UnsupportedCodec) as caught:
        decompress(number, b"", MIB)
    assert caught.value.codec == number
    with pytest.raises(UnsupportedCodec):
        compress(number, b"")


def test_cut_short_data_is_corrupt(codec: int) -> None:
    packed = compress(codec, TEXT)
    for keep in (len(packed) - 1, len(packed) // 2, 11):
        with pytest.raises(CorruptBatch):
            decompress(codec, packed[:keep], MIB)


@given(data=st.binary(max_size=300), codec=st.sampled_from(CODECS))
def test_random_bytes_end_in_our_own_errors(data: bytes, codec: int) -> None:
    with contextlib.suppress(CorruptBatch, DecompressionTooLarge):
        assert len(decompress(codec, data, 4096)) <= 4096


@given(codec=st.sampled_from(CODECS), at=st.integers(min_value=0), flip=st.integers(1, 255))
def test_damaged_bytes_end_in_our_own_errors(codec: int, at: int, flip: int) -> None:
    packed = bytearray(compress(codec, TEXT))
    packed[at % len(packed)] ^= flip
    with contextlib.suppress(CorruptBatch, DecompressionTooLarge):
        assert len(decompress(codec, packed, 2 * len(TEXT))) <= 2 * len(TEXT)


@pytest.mark.parametrize(
    "lie",
    [
        b"\x82SNAPPY\0" + b"\0\0\0\1" * 2 + b"\x7f\xff\xff\xff" + b"\0" * 9,
        b"\x82SNAPPY\0" + b"\0\0\0\1" * 2 + b"\xff\xff\xff\xff" + b"\0" * 9,
        b"\x82SNAPPY\0" + b"\0\0\0\1" * 2 + b"\0\0",
        b"\xff\xff\xff\xff\x0f" + b"\0" * 9,
        b"\xff" * 20,
        b"",
    ],
    ids=["long chunk", "negative chunk", "torn size", "4 GiB raw", "endless varint", "nothing"],
)
def test_sizes_that_lie_are_refused_or_empty(lie: bytes) -> None:
    with contextlib.suppress(CorruptBatch):
        assert bytes(decompress(2, lie, 2**40)) == b""


def test_a_gzip_trailer_that_lies_costs_no_memory() -> None:
    packed = gzip.compress(b"x" * 100)
    with pytest.raises(CorruptBatch):
        decompress(1, packed[:-4] + b"\xff\xff\xff\x7f", 2**40)


BOMB = """
    import json, resource, sys
    import cramjam
    from tidelog.storage.batches.compression import decompress
    from tidelog.storage.errors import DecompressionTooLarge

    codec, limit = int(sys.argv[1]), int(sys.argv[2])
    chunk = bytes(1 << 20)
    if codec == 2:
        block = bytes(cramjam.snappy.compress_raw(chunk))
        bomb = b"\\x82SNAPPY\\0" + bytes(8) + (len(block).to_bytes(4, "big") + block) * 256
    else:
        module = {1: cramjam.gzip, 3: cramjam.lz4, 4: cramjam.zstd}[codec]
        stream = module.Compressor()
        bomb = b""
        for _ in range(256):
            stream.compress(chunk)
            bomb += bytes(stream.flush())
        bomb += bytes(stream.finish())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        decompress(codec, bomb, limit)
        outcome = "decompressed"
    except DecompressionTooLarge:
        outcome = "refused"
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps([len(bomb), outcome, (after - before) * 1024]))
"""


def test_a_bomb_of_256_mib_is_refused_within_the_limit(codec: int) -> None:
    limit = 8 * MIB
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(BOMB), str(codec), str(limit)],
        capture_output=True,
        check=True,
        text=True,
    )
    bomb_bytes, outcome, grown = json.loads(run.stdout)
    assert bomb_bytes < 16 * MIB
    assert outcome == "refused"
    # The allowance beyond the limit is for the decoders' own windows.
    assert grown < limit + 12 * MIB
