"""What the first bytes of a batch's body tell of it, at a cost that does not grow with the body.

A batch that came from outside is neither unpacked nor decompressed before it is stored. These are
the mistakes that show without that: another codec than the header says, and records that do not
add up from the first on.
"""

from __future__ import annotations

from tidelog.storage.batches.compression import (
    CODEC_NAMES,
    GZIP,
    LZ4,
    NONE,
    SNAPPY,
    SNAPPY_RATIO_MAX,
    XERIAL_MAGIC,
    ZSTD,
)
from tidelog.storage.batches.lenient_streams import GZIP_START, LZ4_MAGIC, LZ4_VERSION
from tidelog.storage.batches.varint import read_varint
from tidelog.storage.errors import CorruptBatch, InvalidRecord

_RECORD_BYTES_MIN = 7
"""One byte for each field and for the length."""
_RECORDS_WALKED = 3
_HEADERS_WALKED = 16

_GZIP_MIN, _LZ4_MIN = 20, 11
_ZSTD_START, _ZSTD_SKIPPABLE = b"\x28\xb5\x2f\xfd", b"\x2a\x4d\x18"
_XERIAL_MIN = 16


def check_body(body: memoryview, codec: int, count: int) -> None:
    """Refuse a body that cannot be ``count`` records in this codec. Raises InvalidRecord."""
    if codec == NONE:
        try:
            if not _is_usual(body, count):
                _walk(body, count)
        except (IndexError, CorruptBatch):
            raise InvalidRecord("a record does not fit its batch") from None
    elif not _STARTS[codec](body, count):
        name = CODEC_NAMES[codec]
        raise InvalidRecord(f"the batch is marked as {name}, and its records are not {name}")


def _is_usual(body: memoryview, count: int) -> bool:
    """Whether the first record has the usual form, no headers, and fills a body of its own.

    Nearly all have; what takes a varint for a shorter or a positive one finds another end.
    """
    size = len(body)
    if count * _RECORD_BYTES_MIN > size:
        return False
    length, at = body[0], 1
    if length > 0x7F:
        length, at = length + body[1] * 0x80 - 0x80, 2
    end = at + (length >> 1)
    key = body[at + 3]
    if key > 0x7F or body[at + 1] or body[at + 2]:
        return False
    at += 4 + (key >> 1)
    value, at = body[at], at + 1
    if value > 0x7F:
        value, at = value + body[at] * 0x80 - 0x80, at + 1
    at += value >> 1
    if at + 1 != end or body[at]:
        return False
    return end == size if count <= _RECORDS_WALKED else end < size


def _walk(body: memoryview, count: int) -> None:
    """The lengths of the first records, and the fields of the first. Raises IndexError."""
    at, size = 0, len(body)
    if count * _RECORD_BYTES_MIN > size:
        raise InvalidRecord(f"{count} records cannot lie in {size} bytes")
    for number in range(min(count, _RECORDS_WALKED)):
        length, start = read_varint(body, at)
        at = start + length
        if length < _RECORD_BYTES_MIN - 1 or at > size:
            raise InvalidRecord(f"a record of {length} bytes does not fit its batch")
        if number == 0 and not _fills(body, start, at):
            raise InvalidRecord("a record's fields do not fill its length")
    if count <= _RECORDS_WALKED and at != size:
        raise InvalidRecord(f"{size - at} bytes follow the last record")


def _fills(body: memoryview, at: int, end: int) -> bool:
    """Whether a record's fields end where it does; one of many headers may."""
    _, at = read_varint(body, at + 1)
    _, at = read_varint(body, at)
    size, at = read_varint(body, at)
    if size > 0:
        at += size
    size, at = read_varint(body, at)
    if size > 0:
        at += size
    headers, at = read_varint(body, at)
    if headers == 0:
        return at == end
    if headers > _HEADERS_WALKED:
        return at + 2 * headers <= end
    if headers < 0:
        return False
    for _ in range(headers):
        size, at = read_varint(body, at)
        if size < 0:
            return False
        size, at = read_varint(body, at + size)
        if size > 0:
            at += size
    return at == end


def _starts_gzip(body: memoryview, count: int) -> bool:
    return len(body) >= _GZIP_MIN and body[:3] == GZIP_START


def _starts_lz4(body: memoryview, count: int) -> bool:
    return len(body) >= _LZ4_MIN and body[:4] == LZ4_MAGIC and body[4] >> 6 == LZ4_VERSION


def _starts_zstd(body: memoryview, count: int) -> bool:
    start = bytes(body[:4])
    return start == _ZSTD_START or (start[1:] == _ZSTD_SKIPPABLE and start[0] >> 4 == 5)


def _starts_snappy(body: memoryview, count: int) -> bool:
    """A raw block has no magic, but tells its size, and begins with bytes as they are."""
    if body[:8] == XERIAL_MAGIC:
        return len(body) >= _XERIAL_MIN
    size = shift = at = 0
    for byte in body[:5]:
        at += 1
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    packed = len(body) - at
    fits = count * _RECORD_BYTES_MIN <= size <= packed * SNAPPY_RATIO_MAX
    return fits and packed <= size + size // 6 + 32 and body[at] & 3 == 0


_STARTS = {GZIP: _starts_gzip, LZ4: _starts_lz4, SNAPPY: _starts_snappy, ZSTD: _starts_zstd}
