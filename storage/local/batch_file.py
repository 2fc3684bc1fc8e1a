"""The ``.log`` file of a segment: record batches one after the other, nothing between them.

Positions are bytes from the start of the file. Every read names where it must end, so that a
reader in a thread is not disturbed by an append in the event loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from crc32c import crc32c

from tidelog.storage.batches.record_batch import (
    HEADER_SIZE,
    MAGIC,
    SIZE_PREFIX,
    BatchHeader,
    read_header,
)
from tidelog.storage.buffers import Buffer
from tidelog.storage.errors import CorruptBatch
from tidelog.storage.files import File

_CHUNK_BYTES = 1024 * 1024


class StoredBatch(NamedTuple):
    """A batch found in a file; ``data`` is valid until the scan goes on."""

    position: int
    header: BatchHeader
    data: memoryview


def header_at(data: Buffer, at: int, path: str, position: int) -> BatchHeader:
    """The header at ``at`` in bytes that were read from ``position`` of a file.

    Raises CorruptBatch when it could not be one.
    """
    header = read_header(data, at)
    if header.magic != MAGIC or header.length < HEADER_SIZE - SIZE_PREFIX:
        reason = f"magic {header.magic} and length {header.length} are no batch"
        raise CorruptBatch(reason, path, position + at)
    return header


def scan(file: File, position: int, end: int, *, check: bool = False) -> Iterator[StoredBatch]:
    """Each batch from ``position`` to ``end``, read in large chunks; may wait for the disk.

    With ``check`` the checksum of each is compared. Raises CorruptBatch, naming the file and the
    position, at the first bytes that are not a whole sound batch.
    """
    while position < end:
        chunk = memoryview(file.read_at(position, min(_CHUNK_BYTES, end - position)))
        used = 0
        while used + HEADER_SIZE <= len(chunk):
            header = header_at(chunk, used, file.path, position)
            if used + header.size > len(chunk):
                break
            data = chunk[used : used + header.size]
            if check and header.crc != crc32c(data[21:]):
                raise CorruptBatch("checksum does not match", file.path, position + used)
            yield StoredBatch(position + used, header, data)
            used += header.size
        if used == 0:
            yield _read_one(file, position, end, check)
            used = _size_at(file, position)
        position += used


def _size_at(file: File, position: int) -> int:
    return read_header(file.read_at(position, HEADER_SIZE)).size


def _read_one(file: File, position: int, end: int, check: bool) -> StoredBatch:
    """A batch larger than a chunk, or the proof that there is none."""
    head = file.read_at(position, HEADER_SIZE)
    if len(head) < HEADER_SIZE or position + HEADER_SIZE > end:
        raise CorruptBatch("the file ends inside a batch header", file.path, position)
    header = read_header(head)
    if position + header.size > end:
        raise CorruptBatch("the file ends inside a batch", file.path, position)
    data = memoryview(file.read_at(position, header.size))
    if check and (len(data) < header.size or header.crc != crc32c(data[21:])):
        raise CorruptBatch("checksum does not match", file.path, position)
    return StoredBatch(position, header, data)


def find_batch_after(
    file: File, position: int, end: int, leader_epoch: int, offset: int
) -> int | None:
    """Where a whole, sound batch with a base offset beyond ``offset`` starts after ``position``.

    Tells damage inside a file from a torn end. Looks for the bytes that such a batch must have:
    its leader epoch followed by the magic.
    """
    pattern = leader_epoch.to_bytes(4, "big", signed=True) + bytes((MAGIC,))
    overlap = HEADER_SIZE
    while position < end:
        chunk = bytes(file.read_at(position, min(_CHUNK_BYTES, end - position)))
        found = chunk.find(pattern)
        while found >= 0:
            start = position + found - SIZE_PREFIX
            if found >= SIZE_PREFIX and _is_sound_at(file, start, end, offset):
                return start
            found = chunk.find(pattern, found + 1)
        if position + len(chunk) >= end:
            return None
        position += len(chunk) - overlap
    return None


def _is_sound_at(file: File, position: int, end: int, offset: int) -> bool:
    head = file.read_at(position, HEADER_SIZE)
    if len(head) < HEADER_SIZE:
        return False
    header = read_header(head)
    if not offset <= header.base_offset < offset + 2**31:
        return False
    if header.length < HEADER_SIZE - SIZE_PREFIX or position + header.size > end:
        return False
    data: Buffer = file.read_at(position, header.size)
    return header.crc == crc32c(memoryview(data)[21:])
