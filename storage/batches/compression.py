"""The four codecs of a record batch's body, with a hard bound on what comes out.

Codec numbers are those of the attributes field (Apache Kafka's ``CompressionType.java``).
gzip, lz4 frames and zstd are the codecs' own formats. Snappy comes in the framing of the
xerial library, which Kafka's Java client writes (``SnappyOutputStream.java``)::

     0  magic        82 'S' 'N' 'A' 'P' 'P' 'Y' 0
     8  version      int32, big-endian
    12  compatible   int32
    16  chunks: size int32, a raw snappy block of that size

and raw, one block without any framing, as some other clients write it. Streams may follow each
other, and up to three bytes the last one, as Java's reader has it (``SnappyInputStream.java``).

Never is more than ``max_bytes`` allocated for output, whatever the compressed bytes claim: the
codecs write into buffers of known size, which grow only while the limit allows.
"""

from __future__ import annotations

import struct

import cramjam

from tidelog.storage.batches.lenient_streams import read_gzip, read_lz4
from tidelog.storage.buffers import Buffer
from tidelog.storage.errors import CorruptBatch, DecompressionTooLarge, UnsupportedCodec

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
CODEC_NAMES = ("none", "gzip", "snappy", "lz4", "zstd")

_STREAMS = {GZIP: cramjam.gzip, LZ4: cramjam.lz4, ZSTD: cramjam.zstd}
_LENIENT = {GZIP: read_gzip, LZ4: read_lz4}
_OUTPUT_TOO_SMALL = ("failed to write whole buffer", "Destination buffer is too small")
_FIRST_GUESS = 4
_GROWTH = 4
_OUTPUT_MIN = 4096
_DEFLATE_RATIO_MAX = 1032

XERIAL_MAGIC = b"\x82SNAPPY\0"
_XERIAL_HEADER = XERIAL_MAGIC + struct.pack(">ii", 1, 1)
_XERIAL_CHUNK_SIZE = struct.Struct(">i")
_XERIAL_CHUNK_BYTES = 32 * 1024
SNAPPY_RATIO_MAX = 22
"""A snappy copy of three bytes makes at most 64."""

_GZIP_LEVEL = 6
_ZSTD_LEVEL = 3


def decompress(codec: int, data: Buffer, max_bytes: int) -> Buffer:
    """The bytes that ``data`` stands for, at most ``max_bytes`` of them.

    Raises UnsupportedCodec, DecompressionTooLarge or CorruptBatch.
    """
    if codec == NONE:
        if len(data) > max_bytes:
            raise DecompressionTooLarge(max_bytes)
        return data
    try:
        if codec == SNAPPY:
            return _decompress_snappy(memoryview(data), max_bytes)
        if codec in _STREAMS:
            return _decompress_stream(codec, data, max_bytes)
    except cramjam.DecompressionError as error:
        if codec in _LENIENT:
            return _LENIENT[codec](data, max_bytes)
        raise CorruptBatch(f"{CODEC_NAMES[codec]}: {error}") from error
    raise UnsupportedCodec(codec)


def compress(codec: int, data: Buffer) -> bytes:
    """``data`` in the form that Kafka's own clients read. Raises UnsupportedCodec."""
    if codec == NONE:
        return bytes(data)
    if codec == GZIP:
        return bytes(cramjam.gzip.compress(data, level=_GZIP_LEVEL))
    if codec == SNAPPY:
        return _compress_snappy(memoryview(data))
    if codec == LZ4:
        # Kafka's Java reader refuses frames whose blocks depend on each other.
        frame = cramjam.lz4.Compressor(content_checksum=False, block_linked=False)
        frame.compress(data)
        return bytes(frame.finish())
    if codec == ZSTD:
        return bytes(cramjam.zstd.compress(data, level=_ZSTD_LEVEL))
    raise UnsupportedCodec(codec)


def _decompress_stream(codec: int, data: Buffer, max_bytes: int) -> Buffer:
    """Decompress into a buffer that grows while it proves too small and the limit allows."""
    size = len(data) * _FIRST_GUESS
    if codec == GZIP and len(data) >= 18:
        # The trailer tells the size (modulo 4 GiB); only a hint, for it may lie.
        size = min(int.from_bytes(data[-4:], "little"), len(data) * _DEFLATE_RATIO_MAX)
    size = min(max(size, _OUTPUT_MIN), max_bytes)
    while True:
        output = bytearray(size)
        try:
            written = _STREAMS[codec].decompress_into(data, output)
            return memoryview(output)[:written]
        except cramjam.DecompressionError as error:
            if str(error) not in _OUTPUT_TOO_SMALL:
                raise
        if size >= max_bytes:
            raise DecompressionTooLarge(max_bytes)
        size = min(size * _GROWTH, max_bytes)
        del output


def _decompress_snappy(data: memoryview, max_bytes: int) -> Buffer:
    """Decompress blocks whose sizes are declared, and checked before anything is allocated."""
    blocks = _xerial_blocks(data) if data[:8] == XERIAL_MAGIC else [data]
    sizes = []
    room = max_bytes
    for block in blocks:
        size = cramjam.snappy.decompress_raw_len(block)
        if size > len(block) * SNAPPY_RATIO_MAX:
            raise CorruptBatch(f"snappy: {len(block)} bytes cannot stand for {size}")
        room -= size
        if room < 0:
            raise DecompressionTooLarge(max_bytes)
        sizes.append(size)
    output = bytearray(max_bytes - room)
    view = memoryview(output)
    position = 0
    for block, size in zip(blocks, sizes, strict=True):
        cramjam.snappy.decompress_raw_into(block, view[position : position + size])
        position += size
    return output


def _xerial_blocks(data: memoryview) -> list[memoryview]:
    blocks = []
    position, end = len(_XERIAL_HEADER), len(data)
    if position > end:
        raise CorruptBatch("snappy: the header is cut short")
    while position + _XERIAL_CHUNK_SIZE.size <= end:
        if data[position : position + len(XERIAL_MAGIC)] == XERIAL_MAGIC:
            position += len(_XERIAL_HEADER)
            continue
        start = position + _XERIAL_CHUNK_SIZE.size
        position = start + _XERIAL_CHUNK_SIZE.unpack_from(data, position)[0]
        if not start < position <= end:
            raise CorruptBatch("snappy: a chunk does not fit its batch")
        blocks.append(data[start:position])
    return blocks


def _compress_snappy(data: memoryview) -> bytes:
    parts = [_XERIAL_HEADER]
    for position in range(0, len(data) or 1, _XERIAL_CHUNK_BYTES):
        block = bytes(cramjam.snappy.compress_raw(data[position : position + _XERIAL_CHUNK_BYTES]))
        parts += (_XERIAL_CHUNK_SIZE.pack(len(block)), block)
    return b"".join(parts)
