"""The periodic work: roll what is old, delete what retention lets go, forget idle producers.

Each pass takes the time as an argument; only the task that repeats it reads the clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from tidelog.broker.local.local_log import log_of
from tidelog.broker.partition import Partition
from tidelog.broker.passes import Passes
from tidelog.broker.topic import Topic
from tidelog.storage.errors import StorageError
from tidelog.storage.local.log import Log
from tidelog.storage.local.retention import RetentionPlan, plan_retention

if TYPE_CHECKING:
    from tidelog.broker.broker import Broker

_SNAPSHOT_BYTES = 16 * 1024 * 1024
_log = logging.getLogger("tidelog.retention")


class PartitionPlan(NamedTuple):
    """What retention does, or would do, to one partition."""

    partition: int
    plan: RetentionPlan


class Housekeeping:
    """Repeats ``run`` every ``log.retention.check.interval.ms``."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._task: asyncio.Task[None] | None = None
        self._passes = Passes(broker.clock)
        self.caught_up = self._passes.caught_up
        self._active_since: WeakKeyDictionary[Log, tuple[int, int]] = WeakKeyDictionary()

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._repeat())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _repeat(self) -> None:
        interval_ms = self._broker.settings["log.retention.check.interval.ms"]
        while True:
            await self._passes.until_next(interval_ms)
            await self.run(self._broker.clock.now_ms())

    async def run(self, now_ms: int) -> None:
        """One pass over all topics; a partition that fails is reported and does not stop it."""
        await self._broker.store.find_missing()
        producers_before_ms = now_ms - self._broker.settings["producer.id.expiration.ms"]
        for topic in self._broker.topics():
            for partition in _online(topic):
                try:
                    self._roll_idle(partition, now_ms)
                    log_of(partition).producers.expire(producers_before_ms)
                    await self._snapshot(partition)
                    await self._retain(topic, partition, now_ms)
                except (StorageError, OSError) as error:
                    _log.error("%s-%d: %s", topic.name, partition.index, error)

    def _roll_idle(self, partition: Partition, now_ms: int) -> None:
        """Roll by wall-clock age, for a log whose records' time stands still."""
        log = log_of(partition)
        base_offset, since_ms = self._active_since.get(log, (-1, now_ms))
        if base_offset != log.active.base_offset:
            since_ms = now_ms
        self._active_since[log] = log.active.base_offset, since_ms
        if log.active.size and now_ms - since_ms > log.settings.roll_ms:
            partition.seal()

    async def _snapshot(self, partition: Partition) -> None:
        """Keep short what recovery must read to know the producers."""
        log = log_of(partition)
        if log.bytes_since_snapshot > _SNAPSHOT_BYTES and log.flushed_offset == log.end_offset:
            log.take_snapshot()

    async def plan(self, topic: Topic, now_ms: int) -> list[PartitionPlan]:
        """What retention would do now, for each partition."""
        return [
            PartitionPlan(partition.index, await self._plan(topic, partition, now_ms))
            for partition in _online(topic)
        ]

    async def retain(self, topic: Topic, now_ms: int) -> list[PartitionPlan]:
        """Apply retention now; what was done, for each partition."""
        return [
            PartitionPlan(partition.index, await self._retain(topic, partition, now_ms))
            for partition in _online(topic)
        ]

    async def _plan(self, topic: Topic, partition: Partition, now_ms: int) -> RetentionPlan:
        settings = partition.facts().settings
        waiting = {
            group: self._broker.committed_offset(group, topic.name, partition.index) or 0
            for group in settings.retention_wait_for_groups
        }
        return plan_retention(
            await partition.segments(),
            settings,
            start_offset=partition.start_offset,
            now_ms=now_ms,
            waiting=waiting,
        )

    async def _retain(self, topic: Topic, partition: Partition, now_ms: int) -> RetentionPlan:
        plan = await self._plan(topic, partition, now_ms)
        if plan.expired and not partition.deleted:
            for gone in plan.expired:
                if gone.reason in ("max_time", "max_size"):
                    waited = ", ".join(plan.held_by) or "its groups"
                    _log.warning(
                        "%s-%d: offsets %d to %d go by %s although %s did not read them",
                        *(topic.name, partition.index, gone.base_offset, gone.next_offset - 1),
                        *(gone.reason, waited),
                    )
            await partition.delete_records(plan.expired[-1].next_offset)
            _tell_gone(topic, partition, plan)
        return plan


def _tell_gone(topic: Topic, partition: Partition, plan: RetentionPlan) -> None:
    gone = plan.expired
    reasons = ", ".join(sorted({one.reason for one in gone}))
    _log.info(
        "%s-%d: offsets %d to %d went by %s, %d segments",
        *(topic.name, partition.index, gone[0].base_offset, gone[-1].next_offset - 1),
        *(reasons, len(gone)),
        extra={"topic": topic.name, "partition": partition.index},
    )


def _online(topic: Topic) -> list[Partition]:
    return [partition for partition in topic.partitions if partition.offline is None]
