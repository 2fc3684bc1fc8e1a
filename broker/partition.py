"""One log among many tasks: append, read, wait. The only place where storage meets asyncio.

Appends are synchronous and happen in the event loop, so they need no lock. Reads that the page
cache can answer happen there too; others go to a thread. The high watermark is the end of the
log: there is one replica.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from tidelog.broker.clock import Clock
from tidelog.broker.errors import DeletionNotAllowed, UnknownTopic
from tidelog.broker.group_commit import GroupCommit
from tidelog.broker.log_store import LogStore
from tidelog.broker.waiting import DataWaiter
from tidelog.storage.cuts import acknowledge_damage
from tidelog.storage.errors import OffsetOutOfRange, WritesStopped
from tidelog.storage.files import Buffer, FileSlice, WritableBuffer, refused
from tidelog.storage.log import Log
from tidelog.storage.log_settings import LogSettings
from tidelog.storage.log_state import AppendResult, Cut, LogRead
from tidelog.storage.producer_state import Producer
from tidelog.storage.read_cache import LogId, ReadCache
from tidelog.storage.record_batch import read_header, readable_records
from tidelog.storage.segment import SegmentInfo

T = TypeVar("T")
Data_co = TypeVar("Data_co", bound=Buffer | FileSlice, covariant=True)

_PASS_ON_MIN = 64 * 1024
"""What is at least as long as this is passed on from its file, not through memory."""


class Fetched(NamedTuple, Generic[Data_co]):
    """Contiguous whole batches and the offsets that hold at the moment of the read.

    The first batch may begin before the offset that was asked for.
    """

    data: Sequence[Data_co]
    size: int
    next_offset: int
    start_offset: int
    high_watermark: int
    last_stable_offset: int


@dataclass(frozen=True, slots=True)
class PartitionServices:
    """What all partitions of a broker share."""

    cache: ReadCache
    commit: GroupCommit
    readers: Executor
    store: LogStore
    clock: Clock
    sealed: asyncio.Event


class Partition:
    """A partition of a topic, from ``start_offset`` to ``end_offset`` (exclusive)."""

    def __init__(self, topic_id: uuid.UUID, log: Log, services: PartitionServices) -> None:
        self.topic = log.place.topic
        self.topic_id = topic_id
        self.index = log.place.partition
        self.log = log
        self.log_id: LogId = (self.topic, topic_id.hex, self.index)
        self.deleted = False
        self.appended_bytes = 0
        self.appended_records = 0
        self.appends = self.failed_appends = 0
        self.fetches = self.fetched_bytes = 0
        self._services = services
        self._waiters: set[DataWaiter] = set()
        self._read_at_end = False

    @property
    def start_offset(self) -> int:
        return self.log.start_offset

    @property
    def end_offset(self) -> int:
        return self.log.end_offset

    @property
    def high_watermark(self) -> int:
        return self.log.end_offset

    @property
    def last_stable_offset(self) -> int:
        return self.log.end_offset

    @property
    def flushed_offset(self) -> int:
        """Everything below it is on stable storage."""
        return self.log.flushed_offset

    @property
    def size_bytes(self) -> int:
        return self.log.size_bytes

    def offset_after_segment(self, offset: int) -> int:
        """Where the segment that holds ``offset`` ends."""
        bases = (segment.base_offset for segment in self.log.segments)
        return next((base for base in bases if base > offset), self.end_offset)

    @property
    def leader_epoch(self) -> int:
        return self.log.epochs.current

    @property
    def writes_stopped(self) -> str | None:
        """Why no more writes are taken, or None while they are."""
        return self.log.writes_stopped

    @property
    def offline(self) -> str | None:
        """Why nothing can be read or written, or None."""
        return self.log.offline

    @property
    def damage(self) -> list[Cut]:
        """Damage found by recovery that no administrator has acknowledged."""
        return [cut for cut in self.log.cuts if cut.damage]

    def acknowledge_damage(self) -> None:
        """Stop reporting the damage; the bytes stay kept."""
        acknowledge_damage(self.log)

    # Append

    def append(self, data: WritableBuffer) -> AppendResult:
        """Check, stamp in place and write batches; wake who waits. Raises storage errors.

        After it returns the records survive the process (acks=1). The buffer may be reused.
        """
        if self.deleted:
            raise UnknownTopic(self.topic)
        log = self.log
        segments = len(log.segments)
        self.appends += 1
        try:
            result = log.append(data, self._services.clock.now_ms())
        except Exception as error:
            self.failed_appends += 1
            self._services.store.news.tell(log, error)
            raise
        if result.duplicate:
            return result
        size = len(data)
        self.appended_bytes += size
        self.appended_records += result.last_offset - result.base_offset + 1
        if self._waiters or self._read_at_end:
            next_offset = result.last_offset + 1
            self._services.cache.append(self.log_id, result.base_offset, next_offset, data)
            self._read_at_end = False
            for waiter in tuple(self._waiters):
                waiter.data_arrived(size)
        if len(log.segments) != segments:
            self._rolled()
        return result

    def check_not_deleted(self) -> None:
        """Raises UnknownTopic for a partition of a topic that has been deleted."""
        if self.deleted:
            raise UnknownTopic(self.topic)

    def producer(self, producer_id: int) -> Producer | None:
        """What an idempotent producer has appended, as far as that is remembered."""
        return self.log.producers.get(producer_id)

    def repeats(self, batch: Buffer) -> bool:
        """Whether it is the batch of an idempotent producer that is there already.

        Raises OutOfOrderSequence, InvalidProducerEpoch.
        """
        header = read_header(batch)
        return header.producer_id >= 0 and self.log.producers.check(header) is not None

    def seal(self) -> None:
        """Begin a new segment, so that what the old one holds can be compacted.

        Raises DiskFull, TooManyOpenFiles, WritesStopped.
        """
        try:
            self.log.roll()
        except (WritesStopped, OSError) as error:
            raise self.log.failed(error) from error
        self._rolled()

    def _rolled(self) -> None:
        self._services.commit.flush_soon(self.log)
        if self.log.settings.compact:
            self._services.sealed.set()

    async def flushed(self, next_offset: int) -> None:
        """Return when everything below ``next_offset`` is on stable storage (acks=all).

        Raises WritesStopped when the disk failed to keep it.
        """
        await self._services.commit.flushed(self.log, next_offset)

    # Read

    async def read(self, offset: int, max_bytes: int, *, hot: bool = False) -> Fetched[Buffer]:
        """Whole batches from the one that holds ``offset``, at least one if there is one.

        About ``max_bytes`` of them, up to the high watermark; none at the end. ``hot`` warms: the
        cache keeps what it did not have. Raises OffsetOutOfRange, CorruptBatch, DiskFailed,
        TooManyOpenFiles.
        """
        cached = self._cached(offset, max_bytes)
        if cached is not None:
            return cached
        token = self._services.cache.token
        try:
            found = self.log.read(offset, max_bytes, wait=False)
        except OSError:
            # The disk has to be waited for, or fails; then the other way will tell.
            found = await self._in_thread(partial(self.log.read, offset, max_bytes, wait=True))
        return self._keep(found, offset, token, hot=hot)

    async def fetch(self, offset: int, max_bytes: int) -> Fetched[Buffer | FileSlice]:
        """As ``read``, for passing on: what is long and not in the cache stays in its file."""
        token = self._services.cache.token
        try:
            return self.fetch_now(offset, max_bytes)
        except BlockingIOError:
            data, next_offset = await self._in_thread(
                partial(self.log.find, offset, max_bytes, wait=True)
            )
        if len(data) >= _PASS_ON_MIN:
            return self._fetched([data], next_offset, offset)
        return self._keep(LogRead(await self._in_thread(data.read), next_offset), offset, token)

    def fetch_now(self, offset: int, max_bytes: int) -> Fetched[Buffer | FileSlice]:
        """As ``fetch``. Raises BlockingIOError where that would wait for the disk."""
        cached = self._cached(offset, max_bytes)
        if cached is not None:
            return cached
        try:
            data, next_offset = self.log.find(offset, max_bytes, wait=False)
            if len(data) >= _PASS_ON_MIN:
                return self._fetched([data], next_offset, offset)
            found = LogRead(data.read_now(), next_offset)
        except BlockingIOError:
            raise
        except OSError as error:
            raise refused(error, self.log.place.directory) from error
        return self._keep(found, offset, self._services.cache.token)

    def _keep(
        self, found: LogRead, offset: int, token: int, *, hot: bool = False
    ) -> Fetched[Buffer]:
        """Keep what was read for the next reader; ``token`` was the cache's before the read."""
        data, next_offset = found
        if not len(data):
            return self._fetched([], next_offset, offset)
        # Where compaction left a gap, the first batch begins after what was asked for.
        base_offset = min(offset, read_header(data).base_offset)
        cache = self._services.cache
        cache.put(self.log_id, base_offset, next_offset, data, token=token, hot=hot)
        return self._fetched([data], next_offset, offset)

    def nothing_at(self, offset: int) -> Fetched[Buffer]:
        """An empty answer for an offset. Raises OffsetOutOfRange."""
        log = self.log
        end = log.end_offset
        if not log.start_offset <= offset <= end:
            raise OffsetOutOfRange(offset, log.start_offset, end)
        return Fetched([], 0, offset, log.start_offset, end, end)

    def _cached(self, offset: int, max_bytes: int) -> Fetched[Buffer] | None:
        if not self.log.start_offset <= offset < self.log.end_offset:
            return None
        found = self._services.cache.get(self.log_id, offset, max_bytes)
        if found is None:
            return None
        return self._fetched(found.data, found.next_offset, offset)

    def _fetched(self, data: Sequence[Data_co], next_offset: int, offset: int) -> Fetched[Data_co]:
        log = self.log
        end = log.end_offset
        self.fetches += 1
        if next_offset >= end:
            self._read_at_end = True
        size = sum(map(len, data))
        self.fetched_bytes += size
        return Fetched(data, size, max(next_offset, offset), log.start_offset, end, end)

    async def offset_for_timestamp(self, timestamp: int) -> tuple[int, int] | None:
        """Offset and timestamp of the first record at or after ``timestamp`` (ms)."""
        return await self._in_thread(partial(self.log.offset_for_timestamp, timestamp))

    async def offset_of_largest_timestamp(self) -> tuple[int, int] | None:
        """Offset and timestamp of the first record with the largest timestamp."""
        return await self._in_thread(self.log.offset_of_largest_timestamp)

    async def timestamp_at(self, offset: int) -> int | None:
        """When the first record at or after ``offset`` was written (ms), None at the end.

        The latest time of its batch where that cannot be read. Counts as no fetch. Raises
        OffsetOutOfRange, CorruptBatch.
        """
        return await self._in_thread(partial(_timestamp_at, self.log, offset))

    async def segments(self) -> list[SegmentInfo]:
        """Every segment, oldest first."""
        return await self._in_thread(self.log.segment_infos)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Raises DiskFailed, TooManyOpenFiles for what the operating system refuses."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._services.readers, work)
        except OSError as error:
            raise refused(error, self.log.place.directory) from error

    # Waiting

    def add_waiter(self, waiter: DataWaiter) -> None:
        """Tell ``waiter`` of appends; at once if the partition is gone."""
        if self.deleted:
            waiter.wake()
        self._waiters.add(waiter)

    def remove_waiter(self, waiter: DataWaiter) -> None:
        self._waiters.discard(waiter)

    def wake_waiters(self) -> None:
        """End every wait, because the partition or the broker goes away."""
        for waiter in tuple(self._waiters):
            waiter.wake()

    # Change

    def use_settings(self, settings: LogSettings) -> None:
        """Take the topic's changed settings."""
        self.log.settings = settings

    async def delete_records(self, before_offset: int) -> int:
        """Make ``before_offset`` the first readable offset, durably; the new start offset.

        -1 stands for the high watermark. Whole segments below it go. Raises OffsetOutOfRange
        beyond the high watermark, DeletionNotAllowed where the topic is only compacted.
        """
        log, services = self.log, self._services
        if log.settings.compact and not log.settings.delete:
            raise DeletionNotAllowed(self.topic)
        if before_offset == -1:
            before_offset = self.high_watermark
        if not 0 <= before_offset <= self.high_watermark:
            raise OffsetOutOfRange(before_offset, log.start_offset, self.high_watermark)
        if before_offset > log.start_offset:
            await self.flushed(before_offset)
            log.advance_start(before_offset)
            await services.store.save_start_offsets()
            services.cache.drop(self.log_id, below_offset=before_offset)
        if not self.deleted:
            try:
                doomed = log.remove_below(log.start_offset)
            except (WritesStopped, OSError) as error:
                raise log.failed(error) from error
            services.store.remove_later(doomed, log.settings.file_delete_delay_ms)
        return log.start_offset

    def delete(self) -> None:
        """Take no more appends, wake who waits, forget what is cached."""
        self.deleted = True
        self._services.cache.drop(self.log_id)
        self.wake_waiters()


def _timestamp_at(log: Log, offset: int) -> int | None:
    found = log.read(offset, 1, wait=True)
    if not len(found.data):
        return None
    header = read_header(found.data)
    if header.is_log_append_time:
        return header.max_timestamp
    compacted = header.record_count <= header.last_offset_delta
    if offset <= header.base_offset and not compacted and header.delete_horizon_ms is None:
        return header.base_timestamp
    records = readable_records(found.data) or ()
    return next((one.timestamp for one in records if one.offset >= offset), header.max_timestamp)
