"""Record batches as careless, old or hostile producers send them, byte by byte.

Shares no code with the package. Every batch has a checksum that fits; ``READABLE`` are those of
which Apache Kafka 4.3's reader gets all records, ``BROKEN`` those that it refuses to take.
"""

from __future__ import annotations

import gzip
import struct
import zlib

import cramjam
import lz4.frame
import zstandard
from crc32c import crc32c

NOW = 1_700_000_000_000
NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
CODECS = {"none": NONE, "gzip": GZIP, "snappy": SNAPPY, "lz4": LZ4, "zstd": ZSTD}
NAME = b"na\xefve"
"""A header's name that is not UTF-8."""

_HEADER = struct.Struct(">qiibIhiqqqhii")


def varint(value: int) -> bytes:
    """Zigzag, of any length up to ten bytes."""
    raw = ((value << 1) ^ (value >> 63)) & (2**64 - 1)
    encoded = bytearray()
    while raw > 0x7F:
        encoded.append(raw & 0x7F | 0x80)
        raw >>= 7
    return bytes([*encoded, raw])


def sized(data: bytes, length: bytes | None = None) -> bytes:
    """Bytes behind their length, or behind another one."""
    return (varint(len(data)) if length is None else length) + data


def record(
    number: int = 0,
    *,
    key: bytes = sized(b"k"),
    value: bytes | None = None,
    headers: bytes = b"\0",
    time: bytes | None = None,
    attributes: bytes = b"\0",
    length: bytes | None = None,
) -> bytes:
    """One record; each field as it lies in the batch."""
    time = varint(number * 10) if time is None else time
    value = sized(b"%d" % number * 40) if value is None else value
    return sized(attributes + time + varint(number) + key + value + headers, length)


def batch(body: bytes, codec: int = NONE, count: int = 3, last_offset_delta: int = -1) -> bytes:
    """A batch of ``count`` records with this body, which is compressed already."""
    last = count - 1 if last_offset_delta < 0 else last_offset_delta
    made = bytearray(_HEADER.size + len(body))
    made[_HEADER.size :] = body
    length, times = len(made) - 12, (NOW, NOW + 20)
    _HEADER.pack_into(made, 0, 0, length, -1, 2, 0, codec, last, *times, -1, -1, -1, count)
    struct.pack_into(">I", made, 17, crc32c(memoryview(made)[21:]))
    return bytes(made)


def three(**fields: bytes) -> bytes:
    """Three records, each with these fields."""
    return b"".join(record(number, **fields) for number in range(3))


BODY = three()
MANY = b"".join(record(number, value=sized(b"%d" % number * 400)) for number in range(300))
_HALF = len(BODY) // 2


def member(data: bytes, flags: int = 0, fields: bytes = b"") -> bytes:
    """A gzip member whose header has ``fields``."""
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    head = b"\x1f\x8b\x08" + bytes([flags]) + b"\0\0\0\0\0\xff"
    body = deflate.compress(data) + deflate.flush()
    return head + fields + body + struct.pack("<II", zlib.crc32(data), len(data))


def frame(data: bytes, **options: bool | int) -> bytes:
    """An lz4 frame of independent blocks, unless told otherwise."""
    return bytes(
        lz4.frame.compress(data, **{"block_linked": False, "store_size": False, **options})
    )


def raw_snappy(data: bytes) -> bytes:
    """A snappy block."""
    return bytes(cramjam.snappy.compress_raw(data))


def xerial(*blocks: bytes, version: int = 1) -> bytes:
    """Snappy blocks in the framing of Kafka's Java client."""
    head = b"\x82SNAPPY\0" + struct.pack(">ii", version, 1)
    return head + b"".join(struct.pack(">i", len(block)) + block for block in blocks)


def zstd(data: bytes, **options: bool | int) -> bytes:
    """A zstd frame."""
    return zstandard.ZstdCompressor(**options).compress(data)  # type: ignore[arg-type]


def _flipped(data: bytes, at: int, bits: int = 0xFF) -> bytes:
    made = bytearray(data)
    made[at] ^= bits
    return bytes(made)


SKIPPABLE = b"\x5f\x2a\x4d\x18\x05\0\0\0bytes"
COMPRESSED = {
    "none": BODY,
    "gzip": gzip.compress(BODY),
    "snappy": xerial(raw_snappy(BODY)),
    "lz4": frame(BODY),
    "zstd": zstd(BODY),
}
_HEADER_16 = struct.pack("<H", zlib.crc32(b"\x1f\x8b\x08\x02\0\0\0\0\0\xff") & 0xFFFF)

_STORED = b"\x04\x22\x4d\x18\x60\x40\x82" + struct.pack("<I", len(BODY) | 1 << 31) + BODY + bytes(4)

STREAMS: dict[str, tuple[int, bytes]] = {
    "gzip and zeros": (GZIP, gzip.compress(BODY) + bytes(8)),
    "gzip and many zeros": (GZIP, gzip.compress(BODY) + bytes(10_000)),
    "gzip and other bytes": (GZIP, gzip.compress(BODY) + b"other" * 20),
    "gzip and what looks like a member": (GZIP, gzip.compress(BODY) + b"\x1f\x8b\x08" * 20),
    "gzip members": (GZIP, gzip.compress(BODY[:_HALF]) + gzip.compress(BODY[_HALF:])),
    "a gzip member for each byte": (GZIP, b"".join(member(bytes([byte])) for byte in BODY)),
    "empty gzip members": (GZIP, member(b"") + member(BODY) + member(b"")),
    "gzip members and zeros": (GZIP, member(BODY[:_HALF]) + member(BODY[_HALF:]) + bytes(30)),
    "gzip with every field": (GZIP, member(BODY, 0x1C, b"\x03\0abcname\0comment\0") + b"\0"),
    "gzip with a checksum of its header": (GZIP, member(BODY, 2, _HEADER_16) + b"\0"),
    "gzip with reserved flags": (GZIP, member(BODY, 0xE0)),
    "snappy chunks": (SNAPPY, xerial(raw_snappy(BODY[:_HALF]), raw_snappy(BODY[_HALF:]))),
    "snappy streams": (SNAPPY, xerial(raw_snappy(BODY[:9])) + xerial(raw_snappy(BODY[9:]))),
    "an empty snappy chunk": (SNAPPY, xerial(raw_snappy(b""), raw_snappy(BODY))),
    "snappy of another version": (SNAPPY, xerial(raw_snappy(BODY), version=2)),
    "snappy and three bytes": (SNAPPY, xerial(raw_snappy(BODY)) + b"abc"),
    "raw snappy": (SNAPPY, raw_snappy(BODY)),
    "lz4 with its size": (LZ4, frame(BODY, store_size=True)),
    "lz4 with checksums": (LZ4, frame(BODY, block_checksum=True, content_checksum=True)),
    "lz4 with a wrong checksum": (LZ4, _flipped(frame(BODY, content_checksum=True), -1)),
    "lz4 of one block that may depend": (LZ4, frame(BODY, block_linked=True)),
    "lz4 of large blocks": (LZ4, frame(BODY, block_size=lz4.frame.BLOCKSIZE_MAX4MB)),
    "lz4 that is stored": (LZ4, _STORED),
    "lz4 and zeros": (LZ4, frame(BODY) + bytes(8)),
    "lz4 and other bytes": (LZ4, frame(BODY, store_size=True) + b"other"),
    "lz4 and a frame to skip": (LZ4, frame(BODY) + SKIPPABLE),
    "zstd without its size": (ZSTD, zstd(BODY, write_content_size=False)),
    "zstd with a checksum": (ZSTD, zstd(BODY, write_checksum=True)),
    "zstd frames": (ZSTD, zstd(BODY[:_HALF]) + zstd(BODY[_HALF:])),
    "zstd frames to skip": (ZSTD, SKIPPABLE + zstd(BODY[:9]) + SKIPPABLE + zstd(BODY[9:])),
    "empty zstd frames": (ZSTD, zstd(b"") + zstd(BODY) + zstd(b"")),
}  # fmt: skip
"""Compressed forms of ``BODY``, each with its codec."""

LARGE = {
    "gzip": (GZIP, member(MANY[:50_000]) + member(MANY[50_000:]) + b"end"),
    "snappy": (SNAPPY, xerial(raw_snappy(MANY[:9])) + xerial(raw_snappy(MANY[9:]))),
    "lz4": (LZ4, frame(MANY, block_size=lz4.frame.BLOCKSIZE_MAX64KB) + b"end"),
    "zstd": (ZSTD, zstd(MANY[:9]) + SKIPPABLE + zstd(MANY[9:])),
}
"""Compressed forms of ``MANY``, each with its codec."""

READABLE = {
    **{name: batch(body, codec) for name, (codec, body) in STREAMS.items()},
    **{f"much {name}": batch(body, codec, 300) for name, (codec, body) in LARGE.items()},
    **{f"plain {name}": batch(body, CODECS[name]) for name, body in COMPRESSED.items()},
    "a header's name is not UTF-8": batch(three(headers=b"\2" + sized(NAME) + sized(b"h"))),
    "the same in gzip": batch(gzip.compress(three(headers=b"\2" + sized(NAME) + b"\1")), GZIP),
    "lengths below -1 are null": batch(three(key=varint(-2), value=varint(-9))),
    "a header's value is null": batch(three(headers=b"\2" + sized(b"a") + varint(-2))),
    "attributes of a record": batch(three(attributes=b"\x7f")),
    "a time of ten bytes": batch(three(time=b"\x80" * 9 + b"\0")),
    "a time of more bytes than it needs": batch(three(time=b"\x80\x80\0")),
    "a length of more bytes than it needs": batch(three(key=b"\x82\x80\x80\x80\0k")),
}

_BAD_BODIES = {
    "a value longer than its record": three(value=sized(b"v", varint(5000))),
    "a value that takes the next record": record(value=sized(b"v", varint(60))) + BODY,
    "a key longer than its record": three(key=sized(b"k", varint(5000))),
    "a length of more than 32 bits": three(key=sized(b"k", b"\x82\x80\x80\x80\x7f")),
    "a negative length": record(0, length=varint(-1)) + BODY[len(record()) :],
    "a length of nothing": record(0, length=varint(0)) + BODY[len(record()) :],
    "a length too short": record(0, length=varint(5)) + BODY[len(record()) :],
    "a length too long": record(0, length=varint(5000)) + BODY[len(record()) :],
    "a varint that does not end": three(time=b"\x80" * 10 + b"\1"),
    "a negative count of headers": three(headers=varint(-1)),
    "far too many headers": three(headers=varint(2**31 - 1)),
    "fewer headers than counted": three(headers=varint(2) + sized(b"a") + sized(b"h")),
    "a header without a name": three(headers=b"\2" + varint(-1) + sized(b"h")),
    "bytes within a record": three(headers=b"\0more"),
    "bytes after the last record": BODY + b"more",
    "zeros after the last record": BODY + bytes(8),
    "no bytes": b"",
    "a record cut short": BODY[:-5],
}
BROKEN = {
    **{name: batch(body) for name, body in _BAD_BODIES.items()},
    "fewer records counted": batch(BODY, count=2),
    "more records counted": batch(record(0) + record(1), count=3),
    "far more records counted": batch(BODY, count=2**31 - 1),
}
"""Not compressed, few records or wrong from the first on: refused as INVALID_RECORD."""
BROKEN_LATER = {
    "the last of many": batch(MANY[:-1], count=300),
    "bytes after many": batch(MANY + b"more", count=300),
    "one more than many": batch(MANY, count=301),
    "one of many": batch(BODY * 3 + three(value=sized(b"v", varint(5000))), count=12),
}
"""Apache Kafka refuses them as INVALID_RECORD; here only the first records are looked at."""

BROKEN_INSIDE = {
    **{f"{name}, in gzip": batch(gzip.compress(body), GZIP) for name, body in _BAD_BODIES.items()},
    "fewer records counted, in zstd": batch(COMPRESSED["zstd"], ZSTD, count=2),
    "more records counted, in lz4": batch(COMPRESSED["lz4"], LZ4, count=4),
    "gzip whose checksum is wrong": batch(_flipped(COMPRESSED["gzip"], -6), GZIP),
    "gzip that is cut short": batch(COMPRESSED["gzip"][:-3], GZIP),
    "zeros between gzip members": batch(member(BODY[:9]) + bytes(4) + member(BODY[9:]), GZIP),
    "zstd whose checksum is wrong": batch(_flipped(zstd(BODY, write_checksum=True), -1), ZSTD),
    "zstd and other bytes": batch(zstd(BODY) + b"other", ZSTD),
    "zstd that is cut short": batch(zstd(BODY)[:-3], ZSTD),
    "lz4 without an end": batch(frame(BODY)[:-4], LZ4),
    "lz4 whose block is wrong": batch(_flipped(frame(BODY, block_checksum=True), -6), LZ4),
    "a snappy chunk too long": batch(xerial() + b"\0\0\7\7" + raw_snappy(BODY), SNAPPY),
    "a negative snappy chunk": batch(xerial() + b"\xff" * 4 + raw_snappy(BODY), SNAPPY),
    "snappy and four zeros": batch(xerial(raw_snappy(BODY)) + bytes(4), SNAPPY),
    "raw snappy and a byte": batch(raw_snappy(BODY) + b"\0", SNAPPY),
}
"""What only decompressing can tell: here they get in.

Apache Kafka refuses them, but for lengths of records, which it skips where it decompresses.
"""

MISLABELLED = {
    f"{held} marked as {marked}": batch(body, codec)
    for held, body in COMPRESSED.items()
    for marked, codec in CODECS.items()
    if marked not in (held, "none")
} | {
    "lz4 of another version": batch(_flipped(frame(BODY), 4, 0xC0), LZ4),
    "zlib marked as gzip": batch(zlib.compress(BODY), GZIP),
    "gzip of another method": batch(_flipped(COMPRESSED["gzip"], 2, 7), GZIP),
    **{f"nothing marked as {name}": batch(b"", CODECS[name]) for name in ("gzip", "snappy", "lz4")},
    **{
        f"a byte marked as {name}": batch(b"\x1f", codec) for name, codec in CODECS.items() if codec
    },
}
"""Apache Kafka refuses them with UNKNOWN_SERVER_ERROR."""

MARKED_AS_NONE = {
    f"{held} marked as none": batch(body) for held, body in COMPRESSED.items() if held != "none"
}
"""Apache Kafka refuses them as INVALID_RECORD."""
