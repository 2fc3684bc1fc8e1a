"""A segment: one ``.log`` file with its offset index and time index, named by its base offset.

Sealed segments open their files when somebody reads them and may be closed again at any time;
readers in threads keep what they hold. Only the event loop appends. ``end`` is one tuple, so
that a reader in a thread sees a size and an offset that belong together.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from operator import itemgetter
from typing import NamedTuple

from tidelog.storage.batches.record import Record
from tidelog.storage.batches.record_batch import HEADER_SIZE, readable_records
from tidelog.storage.buffers import Buffer
from tidelog.storage.errors import CorruptBatch, DiskFull, WritesStopped
from tidelog.storage.files import Disk, FileSlice, join
from tidelog.storage.local import file_names
from tidelog.storage.local.batch_file import StoredBatch, header_at, scan
from tidelog.storage.local.file_names import segment_file_name
from tidelog.storage.local.offset_index import OffsetIndex
from tidelog.storage.local.segment_view import (
    Fetch,
    IndexMaking,
    SegmentEnd,
    SegmentFiles,
    SegmentView,
    time_of,
)
from tidelog.storage.local.time_index import TimeIndex

_INDEX_ENTRIES_KEPT_BACK = 64
_HINTS_MAX = 64


class Stretch(NamedTuple):
    """Contiguous whole batches in a file; the first may begin before what was asked for."""

    data: FileSlice
    next_offset: int


class AppendedBatch(NamedTuple):
    """What the indexes need to know of a batch."""

    last_offset: int
    max_timestamp: int
    size: int


class SegmentInfo(NamedTuple):
    """A segment as administrators see it; sizes in bytes, timestamps in ms (-1: no record)."""

    base_offset: int
    next_offset: int
    bytes: int
    first_timestamp: int
    last_timestamp: int
    sealed: bool


class Segment:
    """Batches from ``base_offset`` on; ``index_interval_bytes`` lie between index entries."""

    def __init__(
        self, disk: Disk, directory: str, base_offset: int, end: SegmentEnd, interval: int
    ) -> None:
        self.base_offset = base_offset
        self.end = end
        self._disk = disk
        self._directory = directory
        self._interval = interval
        self._bytes_since_entry = 0
        self._files: SegmentFiles | None = None
        self.indexes_synced = True
        self.pinned = False
        """Whether the files stay open: their names will belong to another segment."""
        self._first_timestamp: int | None = None
        self._largest: tuple[int, int] | None = None
        self._hints: dict[int, int] = {}
        self._indexes_checked = self._ends_whole = end.size == 0
        self._appended_to = False

    @property
    def size(self) -> int:
        """Bytes of the ``.log`` file."""
        return self.end.size

    @property
    def next_offset(self) -> int:
        """The offset after the last record."""
        return self.end.next_offset

    @property
    def is_open(self) -> bool:
        """Whether it holds files open."""
        return self._files is not None

    def path(self, suffix: str) -> str:
        """The path of this segment's file with ``suffix``."""
        return join(self._directory, segment_file_name(self.base_offset, suffix))

    # Files

    def files(self) -> SegmentFiles:
        """The open files; opens them first where needed, which may wait for the disk.

        Raises FileNotFoundError when retention has taken the segment away meanwhile.
        """
        files = self._files
        if files is None:
            files = SegmentFiles(
                self._disk.open(self.path(file_names.LOG), create=self.size == 0),
                OffsetIndex(self.base_offset, self._stored(file_names.OFFSET_INDEX)),
                TimeIndex(self.base_offset, self._stored(file_names.TIME_INDEX)),
            )
            self._files = files
        return files

    def _stored(self, suffix: str) -> bytes:
        path = self.path(suffix)
        return self._disk.read_bytes(path) if self._disk.exists(path) else b""

    def close_files(self) -> None:
        """Let go of the files; a reader that holds them goes on."""
        files = self._files
        if self.pinned or files is None:
            return
        if not files.offset_index.unstored and not files.time_index.unstored:
            self._files = None

    def save_indexes(self) -> None:
        """Make the index files what memory holds. Raises DiskFull; what is missing stays so."""
        files = self._files
        if files is None:
            return
        for index, suffix in (
            (files.offset_index, file_names.OFFSET_INDEX),
            (files.time_index, file_names.TIME_INDEX),
        ):
            path = self.path(suffix)
            stored = self._disk.size(path) if self._disk.exists(path) else -1
            if stored == index.stored_size and not index.unstored:
                continue
            self.indexes_synced = False
            file = self._disk.open(path)
            keep = min(file.size, index.stored_size)
            if file.size != keep:
                file.truncate(keep)
            file.append(index.encode_from(keep))
            index.mark_stored()

    def sync(self) -> None:
        """Put the batches on stable storage."""
        self.files().log.sync()

    def sync_indexes(self) -> None:
        """Put on stable storage what ``save_indexes`` wrote; for a segment that was sealed."""
        if not self.indexes_synced:
            # Retention may have taken the segment away meanwhile.
            with contextlib.suppress(FileNotFoundError):
                for suffix in (file_names.OFFSET_INDEX, file_names.TIME_INDEX):
                    self._disk.open(self.path(suffix), create=False).sync()
            self.indexes_synced = True

    # Append

    def append(self, data: Buffer, appended: list[AppendedBatch]) -> None:
        """Append stamped, contiguous batches. Raises DiskFull, WritesStopped; then unchanged."""
        files = self._files or self.files()
        position = files.log.size
        files.log.append(data)
        largest = self._largest or self._largest_indexed(files)
        for batch in appended:
            if batch.max_timestamp > largest[0]:
                largest = (batch.max_timestamp, batch.last_offset)
            if self._bytes_since_entry > self._interval:
                files.offset_index.append(batch.last_offset, position)
                files.time_index.maybe_append(*largest)
                self._bytes_since_entry = 0
            self._bytes_since_entry += batch.size
            position += batch.size
        self._largest, self._appended_to = largest, True
        self.end = SegmentEnd(position, appended[-1].last_offset + 1)
        if files.offset_index.unstored > _INDEX_ENTRIES_KEPT_BACK:
            # The batches are in the log; that an index lags behind is no reason to fail.
            with contextlib.suppress(DiskFull, WritesStopped):
                self.save_indexes()

    def _largest_indexed(self, files: SegmentFiles) -> tuple[int, int]:
        return files.time_index.last_entry() or (-1, self.base_offset)

    def seal(self) -> None:
        """Write the final index entries: no append comes after this."""
        files = self.files()
        largest = self._largest or self._largest_indexed(files)
        if largest[0] >= 0:
            files.time_index.maybe_append(*largest)
        self.save_indexes()

    def ends_whole(self) -> bool:
        """Whether what is appended now can be found; looked up once, which may read the disk."""
        if not self._ends_whole:
            self._ends_whole = self._waiting_view().ends_whole()
        return self._ends_whole

    def is_index_full(self, last_offset: int) -> bool:
        """Whether an offset is too far from the base for the indexes' 32 bits."""
        return last_offset - self.base_offset > 0x7FFFFFFF

    # Read

    def find(self, offset: int, max_bytes: int, *, wait: bool) -> Stretch:
        """Whole batches from the one that holds ``offset``, at least one if there is one.

        Raises CorruptBatch; BlockingIOError when the disk would have to be waited for and
        ``wait`` is false.
        """
        end = self.end
        files = self._files
        if files is None:
            if not wait:
                raise BlockingIOError(errno.EAGAIN, "the file is not open")
            files = self.files()
        view = self._view(files, end, files.log.read_at if wait else files.log.read_at_now)
        position = self._hints.get(offset)
        if position is None:
            position = view.locate(offset)
        if position == end.size:
            return Stretch(FileSlice(files.log, position, 0), end.next_offset)
        at, next_offset = view.stretch_end(position, max_bytes)
        if at != end.size:
            self._remember(next_offset, at)
        return Stretch(FileSlice(files.log, position, at - position), next_offset)

    def _view(self, files: SegmentFiles, end: SegmentEnd, fetch: Fetch) -> SegmentView:
        return SegmentView(files, self.base_offset, end, self._interval, fetch)

    def _waiting_view(self) -> SegmentView:
        """Of a reader that waits for the disk."""
        files = self.files()
        return self._view(files, self.end, files.log.read_at)

    def _remember(self, offset: int, position: int) -> None:
        """Keep where a sequential reader will go on."""
        if len(self._hints) >= _HINTS_MAX:
            # A new table rather than a smaller one: several threads may be here at once.
            self._hints = {}
        self._hints[offset] = position

    def scan_from(self, offset: int) -> Iterator[StoredBatch]:
        """Each batch from that which holds ``offset``; waits for the disk. Raises CorruptBatch."""
        return self.scan(self._waiting_view().locate(offset))

    def scan(self, position: int = 0, *, check: bool = False) -> Iterator[StoredBatch]:
        """Each batch from ``position``; waits for the disk. Raises CorruptBatch."""
        end = self.end
        return scan(self.files().log, position, end.size, check=check)

    # Time

    @property
    def first_timestamp(self) -> int:
        """Largest timestamp of the first batch, ms; -1: none, or damaged. May read the disk."""
        if self._first_timestamp is None:
            if self.size < HEADER_SIZE:
                return -1
            head = self.files().log.read_at(0, HEADER_SIZE)
            self._first_timestamp = -1
            with contextlib.suppress(CorruptBatch):
                first = header_at(head, 0, self.path(file_names.LOG), 0)
                self._first_timestamp = first.max_timestamp
        return self._first_timestamp

    def largest(self) -> tuple[int, int]:
        """Largest timestamp and the last offset of its batch. May read the disk."""
        if not self._indexes_checked:
            self._check_indexes()
            self._indexes_checked = True
        return self._largest or self._largest_indexed(self.files())

    def _check_indexes(self) -> None:
        """What retention goes by must be true: compare the ends of the indexes with the log."""
        view = self._waiting_view()
        entry, at_end = view.files.time_index.last_entry(), view.largest_at_end()
        if at_end is not None and (entry is None or view.has_time(entry)):
            # Of a segment that is appended to, the last ones are not in the index yet.
            largest = self._largest or self._largest_indexed(view.files)
            if at_end[0] <= largest[0]:
                self._largest = largest
                return
        self._mend_indexes(view)

    def _mend_indexes(self, view: SegmentView) -> None:
        """Make the indexes again, unless the log itself is damaged: then they may know more."""
        log, base = view.files.log, self.base_offset
        made = SegmentFiles(log, OffsetIndex(base), TimeIndex(base))
        making = IndexMaking(made, self._interval, (-1, base), 0)
        try:
            for batch in scan(log, 0, view.end.size):
                making.add(batch)
        except CorruptBatch:
            self._largest = max(making.largest, self._largest_indexed(view.files))
            return
        if making.largest[0] >= 0:
            made.time_index.maybe_append(*making.largest)
        self._files, self._largest = made, making.largest
        if not self._appended_to:
            with contextlib.suppress(DiskFull, WritesStopped, OSError):
                self.save_indexes()

    def first_at_or_after(self, timestamp: int, start_offset: int) -> Record | None:
        """The first record from ``start_offset`` on that is not older; waits for the disk.

        One without key and value stands for the first record of a batch that cannot be read.
        """
        if self.next_offset <= start_offset or self.largest()[0] < timestamp:
            return None
        offset = max(self._waiting_view().offset_before(timestamp), start_offset)
        for batch in self.scan_from(offset):
            header = batch.header
            if header.max_timestamp >= timestamp:
                records = readable_records(batch.data)
                if records is None:
                    first = max(header.base_offset, start_offset)
                    return Record(first, header.max_timestamp, None, None, ())
                for record in records:
                    if record.timestamp >= timestamp and record.offset >= start_offset:
                        return record
        return None

    def info(self, *, sealed: bool) -> SegmentInfo:
        """This segment for administrators. May read the disk."""
        return SegmentInfo(
            self.base_offset,
            self.next_offset,
            self.size,
            self.first_timestamp,
            self.largest()[0],
            sealed,
        )

    # Cut

    def truncate(self, position: int, next_offset: int) -> None:
        """Drop everything from ``position``, where the batch of ``next_offset`` began."""
        files = self.files()
        files.log.truncate(position)
        files.offset_index.truncate(position)
        files.time_index.truncate(next_offset)
        self.end = SegmentEnd(position, next_offset)
        self._hints.clear()
        self._largest = None
        self._first_timestamp = None if position == 0 else self._first_timestamp
        self._rebuild_largest(files)

    def _rebuild_largest(self, files: SegmentFiles) -> None:
        """Find the largest timestamp and the distance to the last index entry again."""
        last = files.offset_index.last_entry()
        start = 0 if last is None else last[1]
        largest = self._largest_indexed(files)
        self._bytes_since_entry = self.size - start
        for batch in self.scan(start):
            largest = max(largest, time_of(batch.header), key=itemgetter(0))
        self._largest = largest

    def rebuild_from(self, position: int, *, check: bool) -> Iterator[StoredBatch]:
        """Yield each batch from ``position`` while making its index entries again.

        Entries from ``position`` on must have been dropped before. When the bytes end or turn
        bad, ``end`` is where the last sound batch ended, and CorruptBatch is raised for bad ones.
        """
        files = self.files()
        last = files.offset_index.last_entry()
        since = position - (0 if last is None else last[1])
        making = IndexMaking(files, self._interval, self._largest_indexed(files), since)
        for batch in scan(files.log, position, files.log.size, check=check):
            making.add(batch)
            self.end = SegmentEnd(batch.position + batch.header.size, batch.header.next_offset)
            self._largest, self._bytes_since_entry = making.largest, making.since
            yield batch

    def drop_index_entries_from(self, position: int, offset: int) -> None:
        """Forget what the indexes say from ``position`` on, where ``offset`` began."""
        files = self.files()
        if position == 0:
            empty = OffsetIndex(self.base_offset), TimeIndex(self.base_offset)
            self._files = SegmentFiles(files.log, *empty)
            return
        files.offset_index.truncate(position)
        files.time_index.truncate(offset)

    def indexes_are_sound(self) -> bool:
        """Whether the stored indexes could be this segment's."""
        files = self.files()
        return files.offset_index.is_sound(files.log.size) and files.time_index.is_sound()
