"""A log on this machine's disk as a partition sees it: the only place where storage meets asyncio.

Appends happen in the event loop, so they need no lock, and so do reads that the page cache can
answer; others go to a thread. Durability is the group commit's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from tidelog.broker.engine import Found, LogFacts
from tidelog.broker.local.group_commit import GroupCommit
from tidelog.broker.local.log_store import LogStore
from tidelog.broker.partition import Partition
from tidelog.storage.batches.record_batch import read_header, readable_records
from tidelog.storage.buffers import Buffer, StoredBytes, WritableBuffer
from tidelog.storage.errors import WritesStopped
from tidelog.storage.files import refused
from tidelog.storage.local.cuts import acknowledge_damage
from tidelog.storage.local.log import Log
from tidelog.storage.local.log_state import AppendResult, LogRead
from tidelog.storage.local.segment import SegmentInfo
from tidelog.storage.log_settings import LogSettings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """What all logs of a broker share; ``sealed`` tells that a compacted one sealed a segment."""

    store: LogStore
    commit: GroupCommit
    readers: Executor
    sealed: asyncio.Event


class LocalLog:
    """A ``PartitionLog``."""

    def __init__(self, log: Log, engine: LocalEngine) -> None:
        self.topic = log.place.topic
        self.partition = log.place.partition
        self.log = log
        self._engine = engine
        self._deleted = False

    @property
    def where(self) -> str:
        return self.log.place.directory

    @property
    def start_offset(self) -> int:
        return self.log.start_offset

    @property
    def end_offset(self) -> int:
        return self.log.end_offset

    @property
    def flushed_offset(self) -> int:
        return self.log.flushed_offset

    @property
    def size_bytes(self) -> int:
        return self.log.size_bytes

    @property
    def unsealed_bytes(self) -> int:
        return self.log.active.size

    @property
    def leader_epoch(self) -> int:
        return self.log.epochs.current

    @property
    def writes_stopped(self) -> str | None:
        return self.log.writes_stopped

    @property
    def offline(self) -> str | None:
        return self.log.offline

    # Append

    def append_now(self, data: WritableBuffer, now_ms: int) -> AppendResult:
        log = self.log
        segments = len(log.segments)
        try:
            result = log.append(data, now_ms)
        except Exception as error:
            self._engine.store.news.tell(log, error)
            raise
        if len(log.segments) != segments:
            self._rolled()
        return result

    async def durable(self, next_offset: int) -> None:
        await self._engine.commit.flushed(self.log, next_offset)

    def repeats(self, batch: Buffer) -> bool:
        header = read_header(batch)
        return header.producer_id >= 0 and self.log.producers.check(header) is not None

    def seal(self) -> None:
        try:
            self.log.roll()
        except (WritesStopped, OSError) as error:
            raise self.log.failed(error) from error
        self._rolled()

    def _rolled(self) -> None:
        self._engine.commit.flush_soon(self.log)
        if self.log.settings.compact:
            self._engine.sealed.set()

    # Read

    def find_now(self, offset: int, max_bytes: int) -> Found:
        return Found(*self.log.find(offset, max_bytes, wait=False))

    async def find(self, offset: int, max_bytes: int) -> Found:
        return Found(*await self._in_thread(partial(self.log.find, offset, max_bytes, wait=True)))

    async def load(self, data: StoredBytes) -> Buffer:
        return await self._in_thread(data.read)

    def read_now(self, offset: int, max_bytes: int) -> LogRead:
        return self.log.read(offset, max_bytes, wait=False)

    async def read(self, offset: int, max_bytes: int) -> LogRead:
        return await self._in_thread(partial(self.log.read, offset, max_bytes, wait=True))

    async def offset_for_timestamp(self, timestamp: int) -> tuple[int, int] | None:
        return await self._in_thread(partial(self.log.offset_for_timestamp, timestamp))

    async def offset_of_largest_timestamp(self) -> tuple[int, int] | None:
        return await self._in_thread(self.log.offset_of_largest_timestamp)

    async def timestamp_at(self, offset: int) -> int | None:
        return await self._in_thread(partial(_timestamp_at, self.log, offset))

    def end_of_epoch(self, epoch: int) -> tuple[int, int]:
        return self.log.epochs.end_offset_of(epoch, self.log.end_offset)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Raises DiskFailed, TooManyOpenFiles for what the operating system refuses."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._engine.readers, work)
        except OSError as error:
            raise refused(error, self.where) from error

    # Segments

    async def segments(self) -> list[SegmentInfo]:
        return await self._in_thread(self.log.segment_infos)

    def segment_end(self, offset: int) -> int:
        bases = (segment.base_offset for segment in self.log.segments)
        return next((base for base in bases if base > offset), self.end_offset)

    async def delete_before(self, offset: int) -> None:
        log, store = self.log, self._engine.store
        if offset > log.start_offset:
            await self.durable(offset)
            log.advance_start(offset)
            await store.save_start_offsets()
        if not self._deleted:
            try:
                doomed = log.remove_below(log.start_offset)
            except (WritesStopped, OSError) as error:
                raise log.failed(error) from error
            store.remove_later(doomed, log.settings.file_delete_delay_ms)

    def use_settings(self, settings: LogSettings) -> None:
        self.log.settings = settings

    def facts(self) -> LogFacts:
        log = self.log
        damage = [cut for cut in log.cuts if cut.damage]
        return LogFacts(
            *(len(log.segments), log.cleaned_offset, log.settings),
            *(log.producers, damage),
        )

    def acknowledge_damage(self) -> None:
        acknowledge_damage(self.log)

    def delete(self) -> None:
        self._deleted = True


def log_of(partition: Partition) -> Log:
    """The log behind a partition of this engine."""
    kept = partition.engine_log
    assert isinstance(kept, LocalLog), "the partition is this engine's"
    return kept.log


def _timestamp_at(log: Log, offset: int) -> int | None:
    """The latest time of the batch where its records cannot be read."""
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
