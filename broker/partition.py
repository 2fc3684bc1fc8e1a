"""One log among many tasks: append, read through the cache, wait.

Appends are done in one step of the event loop, so that they need no lock, and so are reads that
memory can answer. The high watermark is the end of the log: there is one replica.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

from tidelog.broker.clock import Clock
from tidelog.broker.engine import LogFacts, PartitionLog
from tidelog.broker.errors import DeletionNotAllowed, UnknownTopic
from tidelog.broker.waiting import DataWaiter
from tidelog.storage.batches.record_batch import read_header
from tidelog.storage.buffers import Buffer, StoredBytes, WritableBuffer
from tidelog.storage.cache.read_cache import LogId, ReadCache
from tidelog.storage.errors import OffsetOutOfRange
from tidelog.storage.files import refused
from tidelog.storage.local.log_state import AppendResult, LogRead
from tidelog.storage.local.producer_state import Producer
from tidelog.storage.local.segment import SegmentInfo
from tidelog.storage.log_settings import LogSettings

Data_co = TypeVar("Data_co", bound=Buffer | StoredBytes, covariant=True)

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


class Partition:
    """A partition of a topic, from ``start_offset`` to ``end_offset`` (exclusive)."""

    def __init__(
        self, topic_id: uuid.UUID, log: PartitionLog, cache: ReadCache, clock: Clock
    ) -> None:
        self.topic = log.topic
        self.topic_id = topic_id
        self.index = log.partition
        self.log_id: LogId = (self.topic, topic_id.hex, self.index)
        self.deleted = False
        self.appended_bytes = 0
        self.appended_records = 0
        self.appends = self.failed_appends = 0
        self.fetches = self.fetched_bytes = 0
        self.engine_log = self._log = log
        """For the engine that made it; everybody else asks the partition."""
        self._cache = cache
        self._clock = clock
        self._waiters: set[DataWaiter] = set()
        self._read_at_end = False

    @property
    def where(self) -> str:
        """The place of its records, for people."""
        return self._log.where

    @property
    def start_offset(self) -> int:
        return self._log.start_offset

    @property
    def end_offset(self) -> int:
        return self._log.end_offset

    @property
    def high_watermark(self) -> int:
        return self._log.end_offset

    @property
    def last_stable_offset(self) -> int:
        return self._log.end_offset

    @property
    def flushed_offset(self) -> int:
        """Everything below it is on stable storage."""
        return self._log.flushed_offset

    @property
    def size_bytes(self) -> int:
        return self._log.size_bytes

    @property
    def unsealed_bytes(self) -> int:
        """Of what neither retention nor compaction takes yet."""
        return self._log.unsealed_bytes

    @property
    def leader_epoch(self) -> int:
        return self._log.leader_epoch

    @property
    def writes_stopped(self) -> str | None:
        """Why no more writes are taken, or None while they are."""
        return self._log.writes_stopped

    @property
    def offline(self) -> str | None:
        """Why nothing can be read or written, or None."""
        return self._log.offline

    def facts(self) -> LogFacts:
        """What administrators ask of its log."""
        return self._log.facts()

    def end_of_epoch(self, epoch: int) -> tuple[int, int]:
        """The last epoch up to ``epoch`` that the log knows, and the offset at which it ended."""
        return self._log.end_of_epoch(epoch)

    def segment_end(self, offset: int) -> int:
        """Where the segment that holds ``offset`` ends."""
        return self._log.segment_end(offset)

    def acknowledge_damage(self) -> None:
        """Stop reporting the damage; the bytes stay kept."""
        self._log.acknowledge_damage()

    # Append

    def append(self, data: WritableBuffer) -> AppendResult:
        """Check, stamp in place and write batches; wake who waits. Raises storage errors.

        After it returns the records survive the process (acks=1). The buffer may be reused.
        """
        if self.deleted:
            raise UnknownTopic(self.topic)
        self.appends += 1
        try:
            result = self._log.append_now(data, self._clock.now_ms())
        except Exception:
            self.failed_appends += 1
            raise
        if result.duplicate:
            return result
        size = len(data)
        self.appended_bytes += size
        self.appended_records += result.last_offset - result.base_offset + 1
        if self._waiters or self._read_at_end:
            next_offset = result.last_offset + 1
            self._cache.append(self.log_id, result.base_offset, next_offset, data)
            self._read_at_end = False
            for waiter in tuple(self._waiters):
                waiter.data_arrived(size)
        return result

    def check_not_deleted(self) -> None:
        """Raises UnknownTopic for a partition of a topic that has been deleted."""
        if self.deleted:
            raise UnknownTopic(self.topic)

    def producer(self, producer_id: int) -> Producer | None:
        """What an idempotent producer has appended, as far as that is remembered."""
        return self._log.facts().producers.get(producer_id)

    def repeats(self, batch: Buffer) -> bool:
        """Whether it is the batch of an idempotent producer that is there already.

        Raises OutOfOrderSequence, InvalidProducerEpoch.
        """
        return self._log.repeats(batch)

    def seal(self) -> None:
        """Begin a new segment, so that what the old one holds can be compacted.

        Raises DiskFull, TooManyOpenFiles, WritesStopped.
        """
        self._log.seal()

    async def flushed(self, next_offset: int) -> None:
        """Return when everything below ``next_offset`` is on stable storage (acks=all).

        Raises WritesStopped when the disk failed to keep it.
        """
        await self._log.durable(next_offset)

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
        token = self._cache.token
        try:
            found = self._log.read_now(offset, max_bytes)
        except OSError:
            # The disk has to be waited for, or fails; then the other way will tell.
            found = await self._log.read(offset, max_bytes)
        return self._keep(found, offset, token, hot=hot)

    async def fetch(self, offset: int, max_bytes: int) -> Fetched[Buffer | StoredBytes]:
        """As ``read``, for passing on: what is long and not in the cache stays in its file."""
        token = self._cache.token
        try:
            return self.fetch_now(offset, max_bytes)
        except BlockingIOError:
            data, next_offset = await self._log.find(offset, max_bytes)
        if len(data) >= _PASS_ON_MIN:
            return self._fetched([data], next_offset, offset)
        return self._keep(LogRead(await self._log.load(data), next_offset), offset, token)

    def fetch_now(self, offset: int, max_bytes: int) -> Fetched[Buffer | StoredBytes]:
        """As ``fetch``. Raises BlockingIOError where that would wait for the disk."""
        cached = self._cached(offset, max_bytes)
        if cached is not None:
            return cached
        try:
            data, next_offset = self._log.find_now(offset, max_bytes)
            if len(data) >= _PASS_ON_MIN:
                return self._fetched([data], next_offset, offset)
            found = LogRead(data.read_now(), next_offset)
        except BlockingIOError:
            raise
        except OSError as error:
            raise refused(error, self.where) from error
        return self._keep(found, offset, self._cache.token)

    def _keep(
        self, found: LogRead, offset: int, token: int, *, hot: bool = False
    ) -> Fetched[Buffer]:
        """Keep what was read for the next reader; ``token`` was the cache's before the read."""
        data, next_offset = found
        if not len(data):
            return self._fetched([], next_offset, offset)
        # Where compaction left a gap, the first batch begins after what was asked for.
        base_offset = min(offset, read_header(data).base_offset)
        cache = self._cache
        cache.put(self.log_id, base_offset, next_offset, data, token=token, hot=hot)
        return self._fetched([data], next_offset, offset)

    def nothing_at(self, offset: int) -> Fetched[Buffer]:
        """An empty answer for an offset. Raises OffsetOutOfRange."""
        log = self._log
        end = log.end_offset
        if not log.start_offset <= offset <= end:
            raise OffsetOutOfRange(offset, log.start_offset, end)
        return Fetched([], 0, offset, log.start_offset, end, end)

    def _cached(self, offset: int, max_bytes: int) -> Fetched[Buffer] | None:
        if not self._log.start_offset <= offset < self._log.end_offset:
            return None
        found = self._cache.get(self.log_id, offset, max_bytes)
        if found is None:
            return None
        return self._fetched(found.data, found.next_offset, offset)

    def _fetched(self, data: Sequence[Data_co], next_offset: int, offset: int) -> Fetched[Data_co]:
        log = self._log
        end = log.end_offset
        self.fetches += 1
        if next_offset >= end:
            self._read_at_end = True
        size = sum(map(len, data))
        self.fetched_bytes += size
        return Fetched(data, size, max(next_offset, offset), log.start_offset, end, end)

    async def offset_for_timestamp(self, timestamp: int) -> tuple[int, int] | None:
        """Offset and timestamp of the first record at or after ``timestamp`` (ms)."""
        return await self._log.offset_for_timestamp(timestamp)

    async def offset_of_largest_timestamp(self) -> tuple[int, int] | None:
        """Offset and timestamp of the first record with the largest timestamp."""
        return await self._log.offset_of_largest_timestamp()

    async def timestamp_at(self, offset: int) -> int | None:
        """When the first record at or after ``offset`` was written (ms), None at the end.

        The latest time of its batch where that cannot be read. Counts as no fetch. Raises
        OffsetOutOfRange, CorruptBatch.
        """
        return await self._log.timestamp_at(offset)

    async def segments(self) -> list[SegmentInfo]:
        """Every segment, oldest first."""
        return await self._log.segments()

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
        self._log.use_settings(settings)

    async def delete_records(self, before_offset: int) -> int:
        """Make ``before_offset`` the first readable offset, durably; the new start offset.

        -1 stands for the high watermark. Whole segments below it go. Raises OffsetOutOfRange
        beyond the high watermark, DeletionNotAllowed where the topic is only compacted.
        """
        log = self._log
        settings = log.facts().settings
        if settings.compact and not settings.delete:
            raise DeletionNotAllowed(self.topic)
        if before_offset == -1:
            before_offset = self.high_watermark
        if not 0 <= before_offset <= self.high_watermark:
            raise OffsetOutOfRange(before_offset, log.start_offset, self.high_watermark)
        await log.delete_before(before_offset)
        self._cache.drop(self.log_id, below_offset=log.start_offset)
        return log.start_offset

    def delete(self) -> None:
        """Take no more appends, wake who waits, forget what is cached."""
        self.deleted = True
        self._log.delete()
        self._cache.drop(self.log_id)
        self.wake_waiters()
