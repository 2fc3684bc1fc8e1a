"""Compaction in a running broker: when, of which logs, and how new segments get into them.

A child process reads sealed segments and writes new ones; here they are swapped in, between two
steps of the event loop. Sealing a segment of a compacted log wakes it, and so does
``log.cleaner.backoff.ms``. A log that fails is reported and left for the next pass, a damaged one
for the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from tidelog.broker.local.compaction_process import CompactionFailed, Compactor
from tidelog.broker.local.local_log import log_of
from tidelog.broker.partition import Partition
from tidelog.storage.cache.read_cache import LogId
from tidelog.storage.compaction.cleaner import CleaningJob, Source
from tidelog.storage.compaction.planning import CompactionPlan, plan_compaction
from tidelog.storage.errors import StorageError
from tidelog.storage.local import segment_swap
from tidelog.storage.local.cleaned_segment import Cleaned

if TYPE_CHECKING:
    from tidelog.broker.broker import Broker

_PAUSE_S = 1.0
"""From what wakes a pass to its start: the segment is flushed by then, more may have come."""
_log = logging.getLogger("tidelog.compaction")


@dataclass(slots=True)
class CompactionCounters:
    """What was done since the start: logs compacted, logs that failed, bytes before and after."""

    compacted: int = 0
    failed: int = 0
    source_bytes: int = 0
    kept_bytes: int = 0


class _Sizes(NamedTuple):
    """Of what passes have read and kept."""

    source_bytes: int
    kept_bytes: int


class Compaction:
    """Repeats ``run``; only one pass and one child at a time."""

    def __init__(self, broker: Broker) -> None:
        self.counters = CompactionCounters()
        self._broker = broker
        self._task: asyncio.Task[None] | None = None
        self._running = asyncio.Lock()
        self._damaged: set[LogId] = set()
        """Logs that no pass can read, until the next start: as in Apache Kafka, uncleanable."""

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._repeat())

    async def stop(self) -> None:
        """End the child in the middle of its work, if need be."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _repeat(self) -> None:
        sealed = self._broker.sealed
        while True:
            backoff_s = self._broker.settings["log.cleaner.backoff.ms"] / 1000
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(sealed.wait(), backoff_s)
            await asyncio.sleep(_PAUSE_S)
            sealed.clear()
            await self.run(self._broker.clock.now_ms())

    async def plan(self, partition: Partition, now_ms: int) -> CompactionPlan:
        """What a pass would find now."""
        log = log_of(partition)
        return plan_compaction(
            await partition.segments(),
            log.settings,
            cleaned_offset=log.cleaned_offset,
            start_offset=partition.start_offset,
            stable_offset=min(partition.last_stable_offset, partition.flushed_offset),
            now_ms=now_ms,
        )

    async def run(self, now_ms: int) -> None:
        """Compact every log that is due, the dirtiest first."""
        async with self._running:
            due = []
            for topic in self._broker.topics():
                for partition in list(topic.partitions):
                    ratio = await self._dirty_ratio_if_due(partition, now_ms)
                    if ratio is not None:
                        due.append((ratio, partition))
            due.sort(key=lambda found: found[0], reverse=True)
            rate = self._broker.settings["log.cleaner.io.max.bytes.per.second"]
            async with self._broker.environment.compactor(rate) as compactor:
                for _, partition in due:
                    await self._compact(partition, compactor, now_ms)

    async def _dirty_ratio_if_due(self, partition: Partition, now_ms: int) -> float | None:
        log = log_of(partition)
        if not log.settings.compact or log.writes_stopped is not None:
            return None
        if partition.log_id in self._damaged:
            return None
        if log.flushed_offset < log.active.base_offset:
            # After a crash nobody else asks for it; the next pass finds what is durable then.
            self._broker.commit.flush_soon(log)
        try:
            plan = await self.plan(partition, now_ms)
        except (StorageError, OSError) as error:
            self._report(partition, error)
            return None
        return None if plan.reason is None else plan.dirty_ratio

    async def _compact(self, partition: Partition, compactor: Compactor, now_ms: int) -> None:
        try:
            # Retention may have changed the log while others were compacted.
            plan = await self.plan(partition, now_ms)
            if plan.reason is None or partition.deleted:
                return
            before = _Sizes(self.counters.source_bytes, self.counters.kept_bytes)
            async for found in compactor.clean(self._job(partition, plan, now_ms)):
                if isinstance(found, int):
                    log_of(partition).cleaned_offset = found
                elif not await self._swap(partition, found):
                    await self._give_up(partition, compactor)
                    return
            await self._broker.store.save_cleaned_offsets()
            self.counters.compacted += 1
            self._tell_compacted(partition, before)
        except (CompactionFailed, StorageError, OSError) as error:
            if isinstance(error, CompactionFailed) and error.damaged:
                self._damaged.add(partition.log_id)
            self._report(partition, error)
            await self._give_up(partition, compactor)

    def _tell_compacted(self, partition: Partition, before: _Sizes) -> None:
        source_bytes = self.counters.source_bytes - before.source_bytes
        kept_bytes = self.counters.kept_bytes - before.kept_bytes
        _log.info(
            "%s-%d is compacted up to offset %d: %d bytes became %d",
            *(partition.topic, partition.index, log_of(partition).cleaned_offset),
            *(source_bytes, kept_bytes),
            extra={"topic": partition.topic, "partition": partition.index},
        )

    def _report(self, partition: Partition, error: Exception) -> None:
        if not partition.deleted:
            self.counters.failed += 1
            _log.error("%s-%d is not compacted: %s", partition.topic, partition.index, error)

    async def _give_up(self, partition: Partition, compactor: Compactor) -> None:
        """End the child and remove what it has written, unless only a start can tell."""
        await compactor.end()
        place = log_of(partition).place
        if partition.deleted or log_of(partition).writes_stopped is not None:
            return
        with contextlib.suppress(StorageError, OSError):
            await self._broker.store.in_thread(
                lambda: segment_swap.remove_unfinished(place.disk, place.directory)
            )

    def _job(self, partition: Partition, plan: CompactionPlan, now_ms: int) -> CleaningJob:
        log = log_of(partition)
        settings = log.settings
        bases = set(plan.segments)
        sources = [
            Source(segment.base_offset, segment.next_offset, segment.size)
            for segment in log.segments
            if segment.base_offset in bases
        ]
        last_offsets = [
            (producer_id, producer.batches[-1].last_offset)
            for producer_id, producer in log.producers.items()
            if producer.batches and producer.batches[-1].last_offset < plan.end_offset
        ]
        return CleaningJob(
            directory=log.place.directory,
            sources=sources,
            cleaned_offset=plan.cleaned_offset,
            last_offsets=last_offsets,
            segment_bytes=settings.segment_bytes,
            index_interval_bytes=settings.index_interval_bytes,
            delete_retention_ms=settings.delete_retention_ms,
            key_map_bytes=self._broker.settings["log.cleaner.dedupe.buffer.size"],
            now_ms=now_ms,
        )

    async def _swap(self, partition: Partition, cleaned: Cleaned) -> bool:
        """Put a new segment into the log; False if the log has changed too much for it."""
        log, store = log_of(partition), self._broker.store
        disk, directory = log.place.disk, log.place.directory
        old = segment_swap.replaced_by(log, cleaned)
        if not old or partition.deleted:
            return False
        await store.in_thread(lambda: segment_swap.offer(disk, directory, cleaned, old))
        if partition.deleted or segment_swap.replaced_by(log, cleaned) != old:
            segment_swap.release(old)
            return False
        doomed = segment_swap.swap(log, cleaned, old)
        next_offset = old[-1].next_offset
        self._broker.cache.drop(
            partition.log_id, from_offset=cleaned.base_offset, below_offset=next_offset
        )
        await store.in_thread(lambda: disk.sync_directory(directory))
        store.remove_later(doomed, log.settings.file_delete_delay_ms)
        self.counters.source_bytes += cleaned.source_bytes
        self.counters.kept_bytes += cleaned.bytes
        return True
