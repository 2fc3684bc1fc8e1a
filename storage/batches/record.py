"""Records as they lie in a batch, one after the other (Apache Kafka's ``DefaultRecord.java``)::

    length varint, attributes int8, timestamp delta varint, offset delta varint,
    key length varint (-1 null), key, value length varint (-1 null), value,
    header count varint, (name length varint, name, value length varint, value)*

Varints are zigzag-encoded. The length counts what follows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tidelog.storage.batches.varint import SMALL_NUMBERS, VARINTS, read_varint
from tidelog.storage.errors import CorruptBatch

EncodableHeaders = Sequence[tuple[bytes, bytes | None]]
EncodableRecord = tuple[int, bytes | None, bytes | None, EncodableHeaders]
"""timestamp in ms, key, value, headers with UTF-8 names"""


class Record(NamedTuple):
    """One record as a reader sees it; ``timestamp`` in ms since the epoch.

    Kafka keeps the names of headers as bytes: what of them is not UTF-8 is here as Python's
    surrogate escapes, and ``encode_name`` gives the bytes back.
    """

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


def unpack_records(
    data: bytes, count: int, base_offset: int, base_timestamp: int, append_time: int | None
) -> list[Record]:
    """``count`` records that fill ``data``; with an append time that is the time of each.

    Varints of one and two bytes, nearly all, are read in line. Raises CorruptBatch.
    """
    if not 0 <= count <= len(data):
        raise CorruptBatch(f"{count} records cannot lie in {len(data)} bytes")
    try:
        return _unpack(data, count, base_offset, base_timestamp, append_time)
    except IndexError as error:
        raise CorruptBatch("a record does not fit its batch") from error


def _unpack(
    data: bytes, count: int, base_offset: int, base_timestamp: int, append_time: int | None
) -> list[Record]:
    records: list[Record] = []
    add = records.append
    # What Record's own constructor does, without its detour through Python.
    make = tuple.__new__
    small = SMALL_NUMBERS
    end = len(data)
    at = 0
    for _ in range(count):
        length = data[at]
        if length < 0x80:
            length, at = small[length], at + 1
        elif (second := data[at + 1]) < 0x80:
            length, at = small[length + second * 0x80 - 0x80], at + 2
        else:
            length, at = read_varint(data, at)
        record_end = at + length
        if length < 0 or record_end > end:
            raise CorruptBatch(f"a record of {length} bytes does not fit its batch")
        delta = data[at + 1]
        if delta < 0x80:
            delta, at = small[delta], at + 2
        elif (second := data[at + 2]) < 0x80:
            delta, at = small[delta + second * 0x80 - 0x80], at + 3
        else:
            delta, at = read_varint(data, at + 1)
        timestamp = base_timestamp + delta if append_time is None else append_time
        number = data[at]
        if number < 0x80:
            number, at = small[number], at + 1
        elif (second := data[at + 1]) < 0x80:
            number, at = small[number + second * 0x80 - 0x80], at + 2
        else:
            number, at = read_varint(data, at)
        size = data[at]
        if size < 0x80:
            size, at = small[size], at + 1
        elif (second := data[at + 1]) < 0x80:
            size, at = small[size + second * 0x80 - 0x80], at + 2
        else:
            size, at = read_varint(data, at)
        key = None if size < 0 else data[at : (at := at + size)]
        size = data[at]
        if size < 0x80:
            size, at = small[size], at + 1
        elif (second := data[at + 1]) < 0x80:
            size, at = small[size + second * 0x80 - 0x80], at + 2
        else:
            size, at = read_varint(data, at)
        value = None if size < 0 else data[at : (at := at + size)]
        headers, at = _read_headers(data, at) if data[at] else ((), at + 1)
        if at != record_end:
            raise CorruptBatch("a record's fields do not fill its length")
        add(make(Record, (base_offset + number, timestamp, key, value, headers)))
    if at != end:
        raise CorruptBatch(f"{end - at} bytes follow the last record")
    return records


def _read_headers(data: bytes, at: int) -> tuple[tuple[tuple[str, bytes | None], ...], int]:
    count, at = read_varint(data, at)
    if count < 0 or count > len(data):
        raise CorruptBatch(f"header count {count} is impossible")
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(count):
        size, at = read_varint(data, at)
        if size < 0 or at + size > len(data):
            raise CorruptBatch(f"header name length {size} is impossible")
        try:
            name = data[at : at + size].decode()
        except UnicodeDecodeError:
            name = data[at : at + size].decode(errors="surrogateescape")
        size, at = read_varint(data, at + size)
        value = None
        if size >= 0:
            value = data[at : at + size]
            at += size
        headers.append((name, value))
    return tuple(headers), at


def encode_name(name: str) -> bytes:
    """A header's name as it is stored."""
    return name.encode(errors="surrogateescape")


def pack_records(records: Sequence[EncodableRecord]) -> tuple[bytes, int]:
    """The bytes of records and their largest timestamp; the first one's is the base of all."""
    base_timestamp = max_timestamp = records[0][0]
    pieces: list[bytes] = []
    join, varints = b"".join, VARINTS
    for number, (timestamp, key, value, headers) in enumerate(records):
        if timestamp > max_timestamp:
            max_timestamp = timestamp
        body = join(
            (
                b"\0",
                varints[timestamp - base_timestamp],
                varints[number],
                varints[-1 if key is None else len(key)],
                key or b"",
                varints[-1 if value is None else len(value)],
                value or b"",
                _encode_headers(headers) if headers else b"\0",
            )
        )
        pieces += (varints[len(body)], body)
    return join(pieces), max_timestamp


def _encode_headers(headers: EncodableHeaders) -> bytes:
    parts = [VARINTS[len(headers)]]
    for name, value in headers:
        parts += (VARINTS[len(name)], name)
        parts += (VARINTS[-1],) if value is None else (VARINTS[len(value)], value)
    return b"".join(parts)
