"""A log: the ordered segments of one partition. One event loop appends; threads may read.

Offsets are consecutive: each batch is stamped with the offset that follows the last. Nothing
here waits for durability: ``begin_flush`` hands out what a thread must sync, ``flushed`` notes
that it did. After a failed sync the log takes no more writes, because what the disk kept is
unknown.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import TypeVar

from tidelog.storage.batches.append_rules import check_keys, check_timestamps
from tidelog.storage.batches.record import Record
from tidelog.storage.batches.record_batch import (
    BatchHeader,
    check_batches,
    readable_records,
    stamp,
    stamp_append_time,
)
from tidelog.storage.buffers import WritableBuffer
from tidelog.storage.errors import (
    BatchTooLarge,
    DiskFailed,
    DiskFull,
    InvalidRecord,
    OffsetOutOfRange,
    StorageError,
    WritesStopped,
)
from tidelog.storage.files import File, FileSlice, join, refused
from tidelog.storage.local import file_names
from tidelog.storage.local.file_names import segment_file_name
from tidelog.storage.local.flush import Flush
from tidelog.storage.local.log_state import AppendResult, LogPlace, LogRead, LogState
from tidelog.storage.local.retirement import discard, retire
from tidelog.storage.local.segment import (
    AppendedBatch,
    Segment,
    SegmentInfo,
    Stretch,
)
from tidelog.storage.local.segment_view import SegmentEnd
from tidelog.storage.log_settings import LogSettings

T = TypeVar("T")

_BASE_OFFSET = attrgetter("base_offset")
_MAX_TIMESTAMP = attrgetter("max_timestamp")


class Log:
    """The batches of one partition from ``start_offset`` to ``end_offset`` (exclusive)."""

    def __init__(self, place: LogPlace, state: LogState, settings: LogSettings) -> None:
        self.place = place
        self.settings = settings
        self.segments = state.segments
        self.start_offset = state.start_offset
        self.flushed_offset = state.flushed_offset
        self.epochs = state.epochs
        self.producers = state.producers
        self.cuts = state.cuts
        self.cleaned_offset = 0
        """Compaction has read everything below it."""
        self.writes_stopped: str | None = None
        self.epochs_saved = True
        """Until its epochs are saved a log takes no records: a full disk may be in the way."""
        self.offline: str | None = None
        """Why nothing of it can be read, or None."""
        self._unsynced = self._not_durable(self.segments[:-1])
        self._rolls = 0
        self._rolls_synced = 0
        self._snapshots = state.snapshots
        self._snapshot_bytes = 0

    @property
    def active(self) -> Segment:
        """The segment that takes appends."""
        return self.segments[-1]

    @property
    def end_offset(self) -> int:
        """The offset that the next record gets."""
        return self.segments[-1].end.next_offset

    @property
    def size_bytes(self) -> int:
        """Bytes of all segments' batches."""
        return sum(segment.size for segment in self.segments)

    # Append

    def append(self, data: WritableBuffer, now_ms: int) -> AppendResult:
        """Check, stamp in place and write contiguous batches; all of them or none.

        Raises CorruptBatch, InvalidRecord, InvalidTimestamp, BatchTooLarge, OutOfOrderSequence,
        InvalidProducerEpoch, DiskFull, TooManyOpenFiles, WritesStopped; the log is unchanged then.
        """
        if self.writes_stopped is not None:
            raise WritesStopped(self.writes_stopped)
        headers = check_batches(data)
        settings = self.settings
        append_time = now_ms if settings.append_time else -1
        repeated = self._check(headers, data, now_ms)
        if repeated is not None:
            return AppendResult(*repeated, append_time, self.start_offset, True)
        if len(data) > settings.segment_bytes:
            raise BatchTooLarge(len(data), settings.segment_bytes)
        appended = self._stamp(data, headers, append_time)
        base_offset, last_offset = self.end_offset, appended[-1].last_offset
        try:
            if not self.epochs_saved:
                self.save_epochs()
            if self._must_roll(len(data), last_offset, headers):
                self.roll()
            self.segments[-1].append(data, appended)
        except (WritesStopped, OSError) as error:
            raise self.failed(error) from error
        self._snapshot_bytes += len(data)
        for header, batch in zip(headers, appended, strict=True):
            if header.producer_id >= 0:
                first = batch.last_offset - header.last_offset_delta
                self.producers.note(header, first, now_ms)
        return AppendResult(base_offset, last_offset, append_time, self.start_offset, False)

    def save_epochs(self) -> None:
        """Make the leader epochs durable. Raises DiskFull, OSError."""
        path = join(self.place.directory, file_names.LEADER_EPOCHS)
        self.place.disk.write_atomically(path, self.epochs.encode())
        self.epochs_saved = True

    def _check(
        self, headers: list[BatchHeader], data: WritableBuffer, now_ms: int
    ) -> tuple[int, int] | None:
        """Apply the topic's rules; the offsets of a repeated batch, or None for a new one."""
        settings = self.settings
        repeated, position = None, 0
        for header in headers:
            if header.size > settings.max_message_bytes:
                raise BatchTooLarge(header.size, settings.max_message_bytes)
            if header.is_transactional:
                raise InvalidRecord("transactional batches are not supported")
            if not settings.append_time:
                check_timestamps(data, position, header, settings, now_ms)
            position += header.size
            if header.producer_id >= 0:
                if len(headers) > 1:
                    raise InvalidRecord("an idempotent producer sends one batch at a time")
                batch = self.producers.check(header)
                if batch is not None:
                    repeated = batch.base_offset, batch.last_offset
        if settings.compact:
            check_keys(data, headers)
        return repeated

    def _stamp(
        self, data: WritableBuffer, headers: list[BatchHeader], append_time: int
    ) -> list[AppendedBatch]:
        """Write offsets, epoch and, where the topic wants it, the time into the batches."""
        offset, epoch, position = self.end_offset, self.epochs.current, 0
        appended = []
        for header in headers:
            stamp(data, position, offset, epoch)
            timestamp = header.max_timestamp
            if append_time >= 0:
                stamp_append_time(data, position, append_time)
                timestamp = append_time
            offset += header.last_offset_delta + 1
            appended.append(AppendedBatch(offset - 1, timestamp, header.size))
            position += header.size
        return appended

    def _must_roll(self, size: int, last_offset: int, headers: list[BatchHeader]) -> bool:
        active, settings = self.active, self.settings
        if active.size == 0:
            return False
        if active.size + size > settings.segment_bytes or active.is_index_full(last_offset):
            return True
        if not active.ends_whole():
            return True
        newest: int = max(map(_MAX_TIMESTAMP, headers))
        return newest - active.first_timestamp > settings.roll_ms

    def roll(self) -> None:
        """Seal the active segment and begin another. Raises DiskFull; then nothing changed."""
        old, end = self.active, self.end_offset
        if old.size == 0:
            return
        place = self.place
        new = Segment(
            place.disk, place.directory, end, SegmentEnd(0, end), self.settings.index_interval_bytes
        )
        try:
            old.seal()
            new.files()
            new.save_indexes()
        except BaseException:
            # Left behind, the empty file would end the old segment at the next start.
            discard(new, place.disk)
            raise
        self._unsynced.append(old)
        self._rolls += 1
        self.segments.append(new)
        place.opened.used(old)
        with contextlib.suppress(DiskFull, OSError):
            self.take_snapshot()

    # Durability

    def begin_flush(self) -> Flush | None:
        """What to sync now, or None when everything is durable."""
        rolled = self._rolls > self._rolls_synced
        if self.flushed_offset >= self.end_offset and not rolled:
            return None
        place = self.place
        sealed = tuple(self._unsynced)
        files = tuple(segment.files().log for segment in (*sealed, self.active))
        directory = place.directory if rolled else None
        return Flush(files, sealed, directory, place.disk, self.end_offset, self._rolls)

    def is_newest(self, file: File) -> bool:
        """Whether appends go to this file."""
        return self.active.is_open and self.active.files().log is file

    def flushed(self, flush: Flush) -> None:
        """Note that ``flush`` has run to its end."""
        self.flushed_offset = max(self.flushed_offset, flush.end_offset)
        self._unsynced = self._not_durable(self._unsynced)
        self._rolls_synced = max(self._rolls_synced, flush.rolls)

    def _not_durable(self, sealed: list[Segment]) -> list[Segment]:
        flushed = self.flushed_offset
        return [s for s in sealed if s.next_offset > flushed or not s.indexes_synced]

    def flush_failed(self, reason: str) -> None:
        """Take no more writes: what the disk kept is unknown."""
        self.writes_stopped = reason

    def failed(self, error: WritesStopped | OSError) -> StorageError:
        """What an error in changing the log means.

        Unless it may pass, as a full disk or too many open files do, no more writes are taken.
        """
        if isinstance(error, OSError):
            found = refused(error, self.place.directory)
            if not isinstance(found, DiskFailed):
                return found
            error = WritesStopped(str(found))
        self.writes_stopped = error.reason
        return error

    def take_snapshot(self) -> None:
        """Write the producers' state at the end offset; older snapshots go.

        At least two stay, and always one whose records would outlive a power cut.
        """
        end, place = self.end_offset, self.place
        path = join(place.directory, segment_file_name(end, file_names.PRODUCER_SNAPSHOT))
        place.disk.write_atomically(path, self.producers.encode_snapshot())
        self.producers.changed = False
        self._snapshot_bytes = 0
        if end not in self._snapshots:
            self._snapshots.append(end)
        while len(self._snapshots) > 2 and self._snapshots[1] <= self.flushed_offset:
            name = segment_file_name(self._snapshots.pop(0), file_names.PRODUCER_SNAPSHOT)
            place.disk.remove(join(place.directory, name))

    @property
    def bytes_since_snapshot(self) -> int:
        """What recovery would have to read again to know the producers."""
        return self._snapshot_bytes

    def close(self) -> None:
        """Make everything durable and the next start quick. Raises OSError, DiskFull.

        A log that takes no more writes stays as it is: what the disk kept is unknown.
        """
        if self.writes_stopped is not None:
            return
        flush = self.begin_flush()
        if flush is not None:
            flush.run()
            self.flushed(flush)
        if self.producers.changed or self._snapshots[-1] < self.end_offset:
            self.take_snapshot()
        self.active.seal()
        for segment in (*self._unsynced, self.active):
            segment.sync_indexes()

    # Read

    def find(self, offset: int, max_bytes: int, *, wait: bool) -> Stretch:
        """Whole batches from the one that holds ``offset``; none at the end of the log.

        At least one batch, however large. Raises OffsetOutOfRange, CorruptBatch, OSError;
        BlockingIOError when the disk would have to be waited for and ``wait`` is false.
        """
        end = self.end_offset
        if not self.start_offset <= offset <= end:
            raise OffsetOutOfRange(offset, self.start_offset, end)
        segments = self.segments
        number = max(0, bisect_right(segments, offset, key=_BASE_OFFSET) - 1)
        while offset < end and number < len(segments):
            segment = segments[number]
            try:
                found = segment.find(offset, max_bytes, wait=wait)
            except FileNotFoundError:
                if segment in self.segments:
                    raise
                # Retention took the segment away while a thread was on its way here.
                raise OffsetOutOfRange(offset, self.start_offset, end) from None
            if segment is not segments[-1]:
                self.place.opened.used(segment)
            if len(found.data):
                return found
            number += 1
        return Stretch(FileSlice(self.active.files().log, 0, 0), end)

    def read(self, offset: int, max_bytes: int, *, wait: bool) -> LogRead:
        """As ``find``, and the bytes."""
        found = self.find(offset, max_bytes, wait=wait)
        data = found.data.read() if wait else found.data.read_now()
        return LogRead(data, found.next_offset)

    def offset_for_timestamp(self, timestamp: int) -> tuple[int, int] | None:
        """Offset and timestamp of the first record at or after ``timestamp``. May wait."""
        start = self.start_offset
        found = self._visit(lambda segment: segment.first_at_or_after(timestamp, start))
        record = next((record for record in found if record is not None), None)
        return None if record is None else (record.offset, record.timestamp)

    def offset_of_largest_timestamp(self) -> tuple[int, int] | None:
        """Offset and timestamp of the first record with the largest timestamp. May wait."""
        largest = list(self._visit(lambda segment: (*segment.largest(), segment)))
        timestamp, last_offset, segment = max(largest, key=lambda found: found[0])
        if timestamp < 0:
            return None
        found = segment.find(last_offset, 1, wait=True)
        if not len(found.data):
            return None
        records = readable_records(found.data.read())
        if records is None:
            return last_offset, timestamp
        record = _first_at(records, timestamp)
        return None if record is None else (record.offset, record.timestamp)

    def segment_infos(self) -> list[SegmentInfo]:
        """Every segment, oldest first. May read the disk."""
        return list(self._visit(lambda segment: segment.info(sealed=segment is not self.active)))

    def _visit(self, look: Callable[[Segment], T]) -> Iterator[T]:
        """What ``look`` finds in every segment, oldest first; few of them stay open."""
        for segment in list(self.segments):
            try:
                found = look(segment)
            except FileNotFoundError:
                if segment in self.segments:
                    raise
                # Retention took the segment away while a thread was on its way there.
                continue
            if segment.is_open and segment is not self.active:
                self.place.opened.used(segment)
            yield found

    # Remove

    def advance_start(self, offset: int) -> None:
        """Make ``offset`` the first readable one. Raises OffsetOutOfRange beyond the end."""
        if offset > self.end_offset:
            raise OffsetOutOfRange(offset, self.start_offset, self.end_offset)
        self.start_offset = max(self.start_offset, offset)
        self.epochs.truncate_below(self.start_offset)

    def remove_below(self, offset: int) -> list[str]:
        """Drop the sealed segments that end at or below ``offset``; paths to remove later.

        The start offset must have been raised before. The files only get another name here.
        """
        place = self.place
        if offset >= self.end_offset and self.active.size:
            self.roll()
        doomed: list[str] = []
        while len(self.segments) > 1 and self.segments[0].next_offset <= offset:
            segment = self.segments[0]
            # Another list, because readers in threads may be searching this one.
            self.segments = self.segments[1:]
            self._unsynced = [other for other in self._unsynced if other is not segment]
            doomed += retire(segment, place.disk, place.opened)
        self.start_offset = max(self.start_offset, self.segments[0].base_offset)
        return doomed


def _first_at(records: list[Record], timestamp: int) -> Record | None:
    return next((record for record in records if record.timestamp == timestamp), None)
