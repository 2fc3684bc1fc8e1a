"""A segment's files as one reader sees them, and how it finds batches in them.

An index is a hint. The entry that a search begins with is compared with the batch that it names;
where they do not agree the one before it is tried, and after a few the search begins at the
first batch. So an index that is damaged costs time and never hides a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from tidelog.storage.batches.record_batch import HEADER_SIZE, BatchHeader
from tidelog.storage.buffers import Buffer
from tidelog.storage.errors import CorruptBatch
from tidelog.storage.files import File
from tidelog.storage.local.batch_file import StoredBatch, header_at
from tidelog.storage.local.offset_index import OffsetIndex
from tidelog.storage.local.time_index import TimeIndex

_TRIES = 4
_UNINDEXED_BYTES_MAX = 1024 * 1024
"""Far above the distance of entries: a topic's ``index.interval.bytes`` may have been changed."""

Fetch = Callable[[int, int], Buffer]


class SegmentEnd(NamedTuple):
    """Bytes of whole batches and the offset after the last of them."""

    size: int
    next_offset: int


class SegmentFiles(NamedTuple):
    """What a segment holds open; its indexes are in memory."""

    log: File
    offset_index: OffsetIndex
    time_index: TimeIndex


class SegmentView(NamedTuple):
    """``fetch`` is how the reader reads the log; ``interval`` lies between index entries.

    Every method raises CorruptBatch, and BlockingIOError where ``fetch`` does not wait.
    """

    files: SegmentFiles
    base_offset: int
    end: SegmentEnd
    interval: int
    fetch: Fetch

    def locate(self, offset: int) -> int:
        """Where the first batch that reaches ``offset`` starts."""
        for entry in self.files.offset_index.entries_before(offset, _TRIES):
            with suppress(_WrongEntry):
                return self._locate_from(entry, offset)
        return self._locate_from(None, offset)

    def _locate_from(self, entry: tuple[int, int] | None, offset: int) -> int:
        start = 0 if entry is None else entry[1]
        for position, header in self._headers_from(entry, start, self.end.size):
            if header.last_offset >= offset:
                return position
        return self.end.size

    def stretch_end(self, position: int, max_bytes: int) -> tuple[int, int]:
        """Where ``max_bytes`` of whole batches from ``position`` end, and the offset after them.

        Found through the index; at least one batch.
        """
        _, first = next(self.headers(position, position + HEADER_SIZE))
        limit = position + max(max_bytes, first.size)
        if limit >= self.end.size:
            return self.end
        following = position + first.size, first.next_offset
        entry = self.files.offset_index.entry_at_or_before(limit - HEADER_SIZE)
        if entry is not None and entry[1] > following[0]:
            with suppress(_WrongEntry):
                return self._end_from(entry, (entry[1], 0), limit)
        return self._end_from(None, following, limit)

    def _end_from(
        self, entry: tuple[int, int] | None, found: tuple[int, int], limit: int
    ) -> tuple[int, int]:
        for start, header in self._headers_from(entry, found[0], limit):
            if start + header.size > limit:
                return start, header.base_offset
            found = start + header.size, header.next_offset
        return found

    def _headers_from(
        self, entry: tuple[int, int] | None, position: int, limit: int
    ) -> Iterator[tuple[int, BatchHeader]]:
        """As ``headers``, from an index entry's batch. Raises _WrongEntry for another one."""
        headers = self.headers(position, limit)
        if entry is not None:
            try:
                first = next(headers, None) if position >= 0 else None
            except CorruptBatch:
                raise _WrongEntry from None
            if first is None or first[1].last_offset != entry[0]:
                raise _WrongEntry
            yield first
        yield from headers

    def headers(self, position: int, limit: int) -> Iterator[tuple[int, BatchHeader]]:
        """Where each batch from ``position`` on starts whose header lies below ``limit``, and that.

        No checksum covers a batch's offset: one that is not of this segment is no batch's.
        """
        path, (size, next_offset) = self.files.log.path, self.end
        while position + HEADER_SIZE <= limit:
            chunk = self.fetch(position, min(self.interval + HEADER_SIZE, limit - position))
            at = 0
            while at + HEADER_SIZE <= len(chunk):
                header = header_at(chunk, at, path, position)
                if position + at + header.size > size:
                    raise CorruptBatch("the file ends inside a batch", path, position + at)
                if not self.base_offset <= header.base_offset <= header.last_offset < next_offset:
                    reason = f"offset {header.base_offset} is not of this segment"
                    raise CorruptBatch(reason, path, position + at)
                yield position + at, header
                at += header.size
            if at == 0:
                raise CorruptBatch("the file ends inside a header", path, position)
            position += at

    def ends_whole(self) -> bool:
        """Whether what follows the last index entry are whole batches, up to the very end."""
        entry = self.files.offset_index.last_entry()
        start, end = 0 if entry is None else entry[1], (0, self.base_offset)
        with suppress(_WrongEntry, CorruptBatch):
            for position, header in self._headers_from(entry, start, self.end.size):
                end = position + header.size, header.next_offset
        return end == self.end

    # Time

    def offset_before(self, timestamp: int) -> int:
        """The offset from which to look for the first record at or after ``timestamp``.

        Every record up to the returned offset's batch is older.
        """
        for entry in self.files.time_index.entries_before(timestamp, _TRIES):
            if entry[0] < timestamp and self.has_time(entry):
                return entry[1]
        return self.base_offset

    def has_time(self, entry: tuple[int, int]) -> bool:
        """Whether the batch with an entry's offset has its timestamp for the largest."""
        timestamp, offset = entry
        with suppress(CorruptBatch):
            position = self.locate(offset)
            _, header = next(self.headers(position, position + HEADER_SIZE), (0, None))
            if header is not None:
                return header.base_offset <= offset and header.max_timestamp == timestamp
        return False

    def largest_at_end(self) -> tuple[int, int] | None:
        """Largest timestamp, and its batch's last offset, of what follows the last index entry.

        None where entries are missing there, or wrong.
        """
        entry = self.files.offset_index.last_entry()
        start, largest, before = 0 if entry is None else entry[1], (-1, self.base_offset), 0
        with suppress(_WrongEntry, CorruptBatch):
            for position, header in self._headers_from(entry, start, self.end.size):
                if position - start > max(self.interval, _UNINDEXED_BYTES_MAX) + before:
                    return None
                before = header.size
                largest = max(largest, time_of(header), key=_timestamp)
            return largest
        return None


class IndexMaking:
    """Adds the index entries of batches, one after the other."""

    def __init__(
        self, indexes: SegmentFiles, interval: int, largest: tuple[int, int], since: int
    ) -> None:
        """``since`` bytes lie behind the last entry."""
        self.largest = largest
        self.since = since
        self._indexes = indexes
        self._interval = interval

    def add(self, batch: StoredBatch) -> None:
        """The batch that follows."""
        self.largest = max(self.largest, time_of(batch.header), key=_timestamp)
        if self.since > self._interval:
            self._indexes.offset_index.append(batch.header.last_offset, batch.position)
            self._indexes.time_index.maybe_append(*self.largest)
            self.since = 0
        self.since += batch.header.size


def time_of(header: BatchHeader) -> tuple[int, int]:
    """A batch's largest timestamp and its last offset; -1 for a batch without records."""
    return header.max_timestamp if header.record_count else -1, header.last_offset


def _timestamp(time: tuple[int, int]) -> int:
    return time[0]


class _WrongEntry(Exception):
    """An index entry that its batch does not agree with."""
