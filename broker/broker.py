"""The broker: topics of a data directory in a running process.

Creating and changing a topic is atomic across a crash: what stands beside its first log decides,
written when every directory is there and before the catalog follows. Directories are taken away
after the catalog's row is marked; a start finishes what an interruption left.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable

from tidelog.broker.catalog.catalog import Catalog
from tidelog.broker.catalog.settling import (
    check_producer_ids,
    settle_topics,
)
from tidelog.broker.catalog.topic_row import TopicRow
from tidelog.broker.environment import Environment
from tidelog.broker.errors import (
    InternalTopic,
    InvalidPartitions,
    ShuttingDown,
    TopicExists,
    UnknownTopic,
    UnknownTopicId,
)
from tidelog.broker.local.compaction import Compaction
from tidelog.broker.local.deletions import Deletions
from tidelog.broker.local.group_commit import GroupCommit
from tidelog.broker.local.housekeeping import Housekeeping
from tidelog.broker.local.local_log import LocalEngine, LocalLog
from tidelog.broker.local.log_store import LogStore
from tidelog.broker.local.opening import Opening
from tidelog.broker.partition import Partition
from tidelog.broker.producer_ids import ProducerIds
from tidelog.broker.running_settings import RunningSettings
from tidelog.broker.settings.broker_settings import (
    PARTITIONS_MAX,
    BrokerSettings,
)
from tidelog.broker.settings.topic_settings import TopicSettings
from tidelog.broker.topic import Topic
from tidelog.broker.topic_events import tell_altered, tell_deleted, tell_grown, tell_made
from tidelog.broker.topic_name import INTERNAL_TOPICS, check_topic_name
from tidelog.broker.traffic import Traffic
from tidelog.storage.cache.read_cache import ReadCache
from tidelog.storage.files import allow_open_files
from tidelog.storage.local.log import Log

_READER_THREADS = 4
_OPEN_FILES = 65_536

CommittedOffset = Callable[[str, str, int], int | None]
"""What a group has committed for a topic's partition, None for nothing."""


class Broker:
    """Construct, ``start``, serve, ``close``; everything happens in one event loop."""

    def __init__(
        self,
        data_dir: str,
        settings: BrokerSettings,
        environment: Environment | None = None,
    ) -> None:
        """Takes the data directory. Raises DirectoryInUse, DirectoryUnreadable, DiskFull."""
        self.data_dir = data_dir
        self.settings = settings
        self._changing = asyncio.Lock()
        self.running_settings = RunningSettings(self, self._changing)
        self.environment = environment = environment or Environment()
        self.clock = environment.clock
        self.closing = False
        self.started_ms = self.clock.monotonic_ms()
        self.recovering = True
        """Until ``start`` has opened every log there are no topics."""
        allow_open_files(_OPEN_FILES)
        self.store = LogStore(data_dir, settings["node.id"], environment)
        self.node_id = self.store.directory.node_id
        self.cluster_id = self.store.directory.cluster_id
        self.started_clean = self.store.directory.was_clean
        self.cache = ReadCache(settings["cache.bytes"], self.clock.monotonic_ns)
        self.commit = GroupCommit(
            fsync=settings["flush.mode"] == "fsync",
            on_progress=self.store.save_soon,
            clock=self.clock,
            workers=environment.workers,
            news=self.store.news,
        )
        self.readers = environment.workers("read", _READER_THREADS)
        self._stopping = environment.workers("stop", 1)
        self.sealed = asyncio.Event()
        """Set when a compacted log has sealed a segment."""
        self._engine = LocalEngine(self.store, self.commit, self.readers, self.sealed)
        self._catalog: Catalog | None = None
        self._topics: dict[str, Topic] = {}
        self._by_id: dict[uuid.UUID, Topic] = {}
        self.topics_version = 0
        """Rises whenever a topic comes, goes or gets partitions."""
        self._deletions = Deletions(self.store)
        self.opening = Opening(self.store)
        self.producer_ids = ProducerIds(self._take_producer_ids)
        self.housekeeping = Housekeeping(self)
        self.compaction = Compaction(self)
        self.traffic = Traffic(self)
        self.committed_offset: CommittedOffset = lambda group, topic, partition: None

    # Starting and stopping

    @classmethod
    async def open(
        cls,
        data_dir: str,
        settings: BrokerSettings,
        environment: Environment | None = None,
    ) -> Broker:
        """A started broker."""
        broker = cls(data_dir, settings, environment)
        await broker.start()
        return broker

    async def start(self) -> None:
        """Open the catalog and every log; mends what disagrees, recovers after an unclean stop.

        A log that cannot be opened is offline. Raises CatalogUnreadable, DirectoryUnreadable,
        DiskFailed, DiskFull, Interrupted; the directory is released then.
        """
        async with self._changing:
            await self._start()
        self.housekeeping.start()
        self.compaction.start()

    async def _start(self) -> None:
        try:
            await self.store.in_thread(self.store.directory.begin)
            self._catalog = await Catalog.open(self.data_dir, self.environment)
            self.opening.findings += self.running_settings.load()
            settled = await settle_topics(self._catalog, self.store, self.clock.now_ms())
            self.opening.findings += [*self.store.directory.findings, *settled.findings]
            for row in settled.deleting:
                await self._deletions.finish(row, self._catalog)
            topics = await self.store.in_thread(
                lambda: [
                    self._topic(*opened) for opened in self.opening.run(settled.rows, self.settings)
                ]
            )
            if self.store.directory.findings:
                await self.store.save_checkpoints()
            self.opening.findings += await check_producer_ids(
                self._catalog, self.store, self.clock.now_ms()
            )
        except BaseException:
            if self._catalog is not None:
                await self._catalog.close()
            await self.abandon()
            raise
        for topic in topics:
            self._add(topic)
        self.recovering = False
        self.traffic.start()

    async def abandon(self) -> None:
        """Let go of a directory that was not started on; it stays clean if it was."""
        await self._stop(self.store.abandon)

    async def close(self) -> None:
        """Wake who waits, make everything durable, mark the directory clean.

        Raises the first error that kept a log from being closed; the mark is missing then.
        """
        self.stop_waiting()
        await self.compaction.stop()
        await self.housekeeping.stop()
        await self.traffic.stop()
        async with self._changing:
            self.store.cancel_timers()
            await self._stop(self.commit.close)
            self.readers.shutdown(wait=False)
            await self.catalog.close()
            await self._stop(self.store.close)

    async def _stop(self, part: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._stopping, part)

    def stop_waiting(self) -> None:
        """End every long poll; appends and reads still work until ``close``."""
        self.closing = True
        for topic in self._topics.values():
            for partition in topic.partitions:
                partition.wake_waiters()

    @property
    def catalog(self) -> Catalog:
        """Raises ShuttingDown before start."""
        if self._catalog is None:
            raise ShuttingDown
        return self._catalog

    # Topics

    def topics(self) -> list[Topic]:
        """Every topic, by name."""
        return [self._topics[name] for name in sorted(self._topics)]

    def topic(self, name: str) -> Topic:
        """Raises UnknownTopic."""
        topic = self._topics.get(name)
        if topic is None:
            raise UnknownTopic(name)
        return topic

    def topic_by_id(self, topic_id: uuid.UUID) -> Topic:
        """Raises UnknownTopicId."""
        topic = self._by_id.get(topic_id)
        if topic is None:
            raise UnknownTopicId(topic_id)
        return topic

    def topic_to_change(self, key: str | uuid.UUID) -> Topic:
        """The topic of a caller who means to write to it, delete from it or alter it.

        This is the one place that keeps every door from the broker's own topics.
        Raises UnknownTopic, UnknownTopicId, InternalTopic.
        """
        topic = self.topic(key) if isinstance(key, str) else self.topic_by_id(key)
        if topic.internal:
            raise InternalTopic(topic.name)
        return topic

    async def auto_create_topic(self, name: str) -> None:
        """Make a topic that is asked for, where ``auto.create.topics.enable`` allows.

        Raises InvalidTopicName, DiskFull.
        """
        if name in INTERNAL_TOPICS or not self.settings["auto.create.topics.enable"]:
            return
        with contextlib.suppress(TopicExists):
            await self.create_topic(name)

    async def create_topic(
        self,
        name: str,
        partitions: int | None = None,
        settings: dict[str, str] | None = None,
        *,
        validate_only: bool = False,
        internal: bool = False,
    ) -> Topic:
        """A new topic, durable when this returns; with ``validate_only`` one without logs.

        Raises InvalidTopicName, TopicExists, InternalTopic unless ``internal``,
        InvalidPartitions, InvalidSetting, DiskFull.
        """
        async with self._changing:
            self._check_open()
            check_topic_name(name, self._topics)
            if name in self._topics:
                raise TopicExists(name)
            if name in INTERNAL_TOPICS and not internal:
                raise InternalTopic(name)
            count = self.settings["num.partitions"] if partitions is None else partitions
            if not 1 <= count <= PARTITIONS_MAX:
                raise InvalidPartitions(
                    f"a topic has 1 to {PARTITIONS_MAX} partitions, not {count}"
                )
            topic_settings = TopicSettings(settings or {}, self.settings)
            topic_id = self.environment.new_id()
            if validate_only:
                return Topic(name, topic_id, topic_settings, [])
            await self._deletions.make_way(name, self.catalog)
            row = TopicRow(name, topic_id, count, dict(settings or {}))
            log_settings = topic_settings.log_settings()
            logs = await self.store.in_thread(lambda: self.store.create(row, 0, log_settings))
            try:
                await self.catalog.create_topic(row)
            except BaseException:
                await self._deletions.finish(row, self.catalog)
                raise
            topic = self._add(self._topic(row, topic_settings, logs))
            tell_made(topic)
            return topic

    async def add_partitions(self, name: str, count: int, *, validate_only: bool = False) -> Topic:
        """Raise the partition count to ``count``.

        Raises UnknownTopic, InternalTopic, InvalidPartitions.
        """
        async with self._changing:
            self._check_open()
            topic = self.topic_to_change(name)
            now = len(topic.partitions)
            if not now < count <= PARTITIONS_MAX:
                raise InvalidPartitions(
                    f"topic {name} has {now} partitions; the new count must be larger, "
                    f"and at most {PARTITIONS_MAX}, not {count}"
                )
            if validate_only:
                return topic
            row = _row(topic)._replace(partitions=count)
            log_settings = topic.settings.log_settings()
            logs = await self.store.in_thread(lambda: self.store.create(row, now, log_settings))
            await self._remember(row, instead_of=topic)
            topic.partitions += [self._partition(topic.id, log) for log in logs]
            self.topics_version += 1
            tell_grown(topic, now)
            return topic

    async def alter_topic(
        self, name: str, changes: dict[str, str | None], *, validate_only: bool = False
    ) -> Topic:
        """Change settings; None resets one. Raises UnknownTopic, InternalTopic, InvalidSetting."""
        async with self._changing:
            self._check_open()
            topic = self.topic_to_change(name)
            overrides = dict(topic.settings.overrides)
            for setting, value in changes.items():
                if value is None:
                    overrides.pop(setting, None)
                else:
                    overrides[setting] = value
            changed = TopicSettings(overrides, self.settings)
            if not validate_only:
                row = _row(topic)._replace(settings=overrides)
                await self._remember(row, instead_of=topic)
                topic.use_settings(changed)
                tell_altered(topic, changes)
            return topic

    async def _remember(self, row: TopicRow, *, instead_of: Topic) -> None:
        """Note a change beside the topic's first log and in the catalog, or in neither."""
        await self.store.in_thread(lambda: self.store.describe(row))
        try:
            await self.catalog.change_topic(row)
        except BaseException:
            await self.store.in_thread(lambda: self.store.describe(_row(instead_of)))
            raise

    async def delete_topic(self, name: str) -> None:
        """Gone for everyone at once; its files follow. Raises UnknownTopic, InternalTopic."""
        async with self._changing:
            self._check_open()
            topic = self.topic_to_change(name)
            await self.catalog.mark_deleting(topic.id)
            del self._topics[name], self._by_id[topic.id]
            self.topics_version += 1
            for partition in topic.partitions:
                partition.delete()
            tell_deleted(topic)
            self.cache.forget_topic(name)
            paths = await self._deletions.finish(_row(topic), self.catalog)
            self.store.remove_later(paths, topic.settings["file.delete.delay.ms"])

    def _topic(self, row: TopicRow, settings: TopicSettings, logs: list[Log]) -> Topic:
        partitions = [self._partition(row.id, log) for log in logs]
        return Topic(row.name, row.id, settings, partitions)

    def _partition(self, topic_id: uuid.UUID, log: Log) -> Partition:
        return Partition(topic_id, LocalLog(log, self._engine), self.cache, self.clock)

    def _add(self, topic: Topic) -> Topic:
        self._topics[topic.name] = topic
        self._by_id[topic.id] = topic
        self.topics_version += 1
        return topic

    def _check_open(self) -> None:
        if self.closing:
            raise ShuttingDown

    async def _take_producer_ids(self) -> range:
        async with self._changing:
            return await self.catalog.next_producer_id_block()


def _row(topic: Topic) -> TopicRow:
    return TopicRow(topic.name, topic.id, len(topic.partitions), dict(topic.settings.overrides))
