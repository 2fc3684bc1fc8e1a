"""gzip and lz4 as Java reads them, for streams that stricter readers refuse.

Kafka's own reader of a batch takes what follows the last gzip member, or the end mark of the one
lz4 frame, for padding, whatever it is (``GZIPInputStream.java``, ``Lz4BlockInputStream.java``).
Slower than the codecs that read nearly all batches: these here are asked where those have failed.

A gzip member (RFC 1952) is ``1f 8b``, method 8, flags, six more bytes, the fields that the flags
name, a deflate stream, its CRC-32 and its length. An lz4 frame is the magic, flags, block size, a
content size where the flags say so, a checksum byte, and blocks: size uint32 (bit 31: stored as
it is), bytes; a size of 0 ends them.
"""

from __future__ import annotations

import struct
import zlib

import cramjam

from tidelog.storage.buffers import Buffer
from tidelog.storage.errors import CorruptBatch, DecompressionTooLarge

GZIP_START = b"\x1f\x8b\x08"
_GZIP_HEADER_SIZE = 10
_GZIP_TRAILER = struct.Struct("<II")
_GZIP_MEMBER_MIN = _GZIP_HEADER_SIZE + _GZIP_TRAILER.size
_HEADER_CHECKSUM, _EXTRA, _NAME, _COMMENT = 2, 4, 8, 16
_UINT16 = struct.Struct("<H")
_PIECE_BYTES = 4096
"""What is given to the inflater at a time; it copies what it has left over at a member's end."""

LZ4_MAGIC = b"\x04\x22\x4d\x18"
LZ4_VERSION = 0b01
_BLOCK_CHECKSUMS, _CONTENT_SIZE, _DICTIONARY = 0x10, 0x08, 0x01
_BLOCK_SIZE = struct.Struct("<I")
_STORED = 0x8000_0000


def read_gzip(data: Buffer, max_bytes: int) -> Buffer:
    """Members one after the other, up to the first bytes that begin no other.

    Raises CorruptBatch, DecompressionTooLarge.
    """
    stream = bytes(data)
    output = bytearray()
    start = _after_gzip_header(stream, 0)
    if start is None:
        raise CorruptBatch("gzip: there is no member")
    while start is not None:
        start = _after_gzip_header(stream, _inflate(stream, start, output, max_bytes))
    return output


def _after_gzip_header(stream: bytes, at: int) -> int | None:
    """Where the deflate stream of the member at ``at`` starts, None where there is no member."""
    if len(stream) - at < _GZIP_MEMBER_MIN or not stream.startswith(GZIP_START, at):
        return None
    flags, end = stream[at + 3], at + _GZIP_HEADER_SIZE
    if flags & _EXTRA:
        end += _UINT16.size + _UINT16.unpack_from(stream, end)[0]
    for flag in (_NAME, _COMMENT):
        if flags & flag:
            end = stream.find(b"\0", end) + 1 or len(stream)
    if flags & _HEADER_CHECKSUM:
        checksum = zlib.crc32(stream[at:end]) & 0xFFFF
        if not stream.startswith(_UINT16.pack(checksum), end):
            return None
        end += _UINT16.size
    return end if end < len(stream) else None


def _inflate(stream: bytes, at: int, output: bytearray, max_bytes: int) -> int:
    """Add what the member's deflate stream stands for to ``output``; where the member ends."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    checksum, size = 0, 0
    while not inflater.eof:
        piece = stream[at : at + _PIECE_BYTES]
        if not piece:
            raise CorruptBatch("gzip: a member is cut short")
        try:
            found = inflater.decompress(piece, max_bytes - len(output) + 1)
        except zlib.error as error:
            raise CorruptBatch(f"gzip: {error}") from error
        output += found
        if len(output) > max_bytes:
            raise DecompressionTooLarge(max_bytes)
        checksum, size = zlib.crc32(found, checksum), size + len(found)
        at += len(piece) - len(inflater.unused_data)
    if not stream.startswith(_GZIP_TRAILER.pack(checksum, size & 0xFFFF_FFFF), at):
        raise CorruptBatch("gzip: a member does not agree with its trailer")
    return at + _GZIP_TRAILER.size


def read_lz4(data: Buffer, max_bytes: int) -> Buffer:
    """One frame of blocks that do not depend on each other; its content checksum is not compared.

    Raises CorruptBatch, DecompressionTooLarge.
    """
    view = memoryview(data)
    at = _after_lz4_header(view)
    block_bytes_max = 1 << (8 + 2 * (view[5] >> 4 & 7))
    output = bytearray()
    while True:
        if at + _BLOCK_SIZE.size > len(view):
            raise CorruptBatch("lz4: the frame has no end mark")
        (size,) = _BLOCK_SIZE.unpack_from(view, at)
        at += _BLOCK_SIZE.size
        if size == 0:
            return output
        block = view[at : at + (size & ~_STORED)]
        at += len(block)
        if len(block) < size & ~_STORED:
            raise CorruptBatch("lz4: a block is cut short")
        output += block if size & _STORED else _lz4_block(block, block_bytes_max)
        if len(output) > max_bytes:
            raise DecompressionTooLarge(max_bytes)


def _after_lz4_header(view: memoryview) -> int:
    """Where the frame's blocks start."""
    if len(view) < 7 or view[:4] != LZ4_MAGIC or view[4] >> 6 != LZ4_VERSION:
        raise CorruptBatch("lz4: there is no frame")
    flags = view[4]
    if flags & (_BLOCK_CHECKSUMS | _DICTIONARY):
        # Their checksums may be what is wrong: nothing here could tell.
        raise CorruptBatch("lz4: the frame is not sound")
    return 7 + (8 if flags & _CONTENT_SIZE else 0)


def _lz4_block(block: memoryview, bytes_max: int) -> memoryview:
    output = bytearray(bytes_max)
    try:
        written = cramjam.lz4.decompress_block_into(block, output)
    except cramjam.DecompressionError as error:
        raise CorruptBatch(f"lz4: {error}") from error
    return memoryview(output)[:written]
