"""The internal topic ``__consumer_offsets``: written in order, read back after a start.

Records are applied as soon as they are appended, and a write is done when they are on stable
storage. Writes that arrive while a flush is under way wait for it and share one append and one
flush. A write may be a function that makes the records: it is called when its turn has come and
everything before it is applied.

A group's records live in the partition that Kafka would choose: the absolute value of Java's
``String.hashCode`` of its name, modulo the partition count.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple

from tidelog.broker.broker import Broker
from tidelog.broker.errors import BrokerError, TopicExists, UnknownTopic
from tidelog.broker.partition import Partition
from tidelog.broker.topic import Topic
from tidelog.consumer_groups.classic.classic_member import NEVER_MS
from tidelog.consumer_groups.errors import CoordinatorUnavailable, GroupError
from tidelog.consumer_groups.records.group_records import KeyValue, StateRecord, decode, encode
from tidelog.consumer_groups.settings import GroupSettings
from tidelog.storage.batches.record import Record
from tidelog.storage.batches.record_batch import batches, decode_records, encode_batch
from tidelog.storage.errors import StorageError, WritesStopped

OFFSETS_TOPIC = "__consumer_offsets"
_BATCH_BYTES = 512 * 1024
_READ_BYTES = 256 * 1024
_APPLIED_AT_ONCE = 200
"""Records, between two of which the loop serves others."""
_MESSAGE_BYTES_MAX = 64 * 1024 * 1024
_ACTIVE_BYTES = 1024 * 1024
"""Less than this is not worth a segment."""
_TOMBSTONE_MS = 60 * 60 * 1000
_DELETE_DELAY_MS = 1000

Records = Sequence[StateRecord]
Apply = Callable[[StateRecord], None]
Done = asyncio.Future[None]

_log = logging.getLogger("tidelog.groups")


class Write(NamedTuple):
    group: str
    records: Records | Callable[[], Records]
    done: Done


class OffsetsTopic:
    """The topic is created by the first write, unless ``load`` finds it."""

    def __init__(self, broker: Broker, settings: GroupSettings, apply: Apply) -> None:
        self._broker = broker
        self._settings = settings
        self._apply = apply
        self._writers: list[_Writer] = []
        self._early: list[Write] = []
        self._creation: asyncio.Task[None] | None = None
        self.loaded = 0
        self.total = 0
        self.unreadable: dict[int | None, str] = {}
        """Partitions whose records are not known, and why: their groups cannot be served."""

    async def load(self) -> None:
        """Apply everything the topic holds, leaving the loop to others in between."""
        try:
            topic = self._broker.topic(OFFSETS_TOPIC)
        except UnknownTopic:
            return
        self.total = sum(p.end_offset - p.start_offset for p in topic.partitions)
        for partition in topic.partitions:
            try:
                await self._load_partition(partition)
            except StorageError as error:
                self.unreadable[partition.index] = str(error)
                _log.error(
                    "%s-%d cannot be read, its groups stay unavailable: %s",
                    *(OFFSETS_TOPIC, partition.index, error),
                )
        self._open(topic)

    async def _load_partition(self, partition: Partition) -> None:
        if partition.offline is not None:
            raise WritesStopped(partition.offline)
        before = self.loaded - partition.start_offset
        async for records, next_offset in _read_all(partition):
            self._apply_all(records)
            self.loaded = before + next_offset
            await asyncio.sleep(0)

    def check(self, group: str) -> None:
        """Raises CoordinatorUnavailable where the group's records are not known."""
        if self.unreadable:
            index = partition_of(group, len(self._writers))
            reason = self.unreadable.get(index)
            if reason is not None:
                raise CoordinatorUnavailable(f"{OFFSETS_TOPIC}-{index} cannot be read: {reason}")

    def _apply_all(self, records: list[Record]) -> None:
        for record in records:
            try:
                decoded = decode(record.key, record.value)
            except ValueError as error:
                _log.warning("record %d of %s is skipped: %s", record.offset, OFFSETS_TOPIC, error)
                continue
            if decoded is not None:
                self._apply(decoded)

    def write(self, group: str, records: Records | Callable[[], Records]) -> Done:
        """Append and apply the records of a group; done when they are durable.

        Fails with CoordinatorUnavailable where they could not be written, and with the GroupError
        that the function raises; nothing is applied then.
        """
        done: Done = asyncio.get_running_loop().create_future()
        self._add(Write(group, records, done))
        return done

    async def exists(self) -> None:
        """Return when the topic is there; ``write_now`` needs that."""
        if not self._writers:
            await self.write("", ())

    def write_now(self, group: str, records: Records) -> Done:
        """As ``write``, but appended and applied, after all earlier writes, when this returns.

        Raises CoordinatorUnavailable.
        """
        done: Done = asyncio.get_running_loop().create_future()
        self._writer(group).add_now(Write(group, records, done))
        if done.done() and (error := done.exception()) is not None:
            raise error
        return done

    async def settle(self, group: str) -> None:
        """Return when earlier writes of the group are appended and applied, durable or not yet."""
        if self._creation is not None:
            await asyncio.wait([self._creation])
        if self._writers:
            self._writer(group).settle()

    def _writer(self, group: str) -> _Writer:
        return self._writers[partition_of(group, len(self._writers))]

    def _add(self, write: Write) -> None:
        if self._writers:
            self._writer(write.group).add(write)
            return
        self._early.append(write)
        if self._creation is None:
            self._creation = asyncio.ensure_future(self._create())

    async def _create(self) -> None:
        settings = {
            "cleanup.policy": "compact",
            "compression.type": "producer",
            "segment.bytes": str(self._settings.offsets_segment_bytes),
            "max.message.bytes": str(_MESSAGE_BYTES_MAX),
            "message.timestamp.before.max.ms": str(NEVER_MS),
            "min.cleanable.dirty.ratio": "0.4",
            "delete.retention.ms": str(_TOMBSTONE_MS),
            "file.delete.delay.ms": str(_DELETE_DELAY_MS),
        }
        partitions = self._settings.offsets_partitions
        failure: Exception | None = None
        try:
            self._open(
                await self._broker.create_topic(OFFSETS_TOPIC, partitions, settings, internal=True)
            )
        except TopicExists:
            self._open(self._broker.topic(OFFSETS_TOPIC))
        except (BrokerError, StorageError) as error:
            failure = error
        self._creation = None
        early, self._early = self._early, []
        for write in early:
            if failure is None:
                self._add(write)
            else:
                _finish([write.done], failure)

    def _open(self, topic: Topic) -> None:
        now_ms = self._broker.clock.now_ms
        self._writers = [_Writer(part, now_ms, self._apply) for part in topic.partitions]

    async def drain(self) -> None:
        """Return when every write so far has ended, well or not."""
        if self._creation is not None:
            await asyncio.wait([self._creation])
        for writer in self._writers:
            await writer.drain()


class _Writer:
    """The writes of one partition: what has gathered is appended at once, then flushed."""

    def __init__(self, partition: Partition, now_ms: Callable[[], int], apply: Apply) -> None:
        self._partition = partition
        self._now_ms = now_ms
        self._apply = apply
        self._queue: list[Write] = []
        self._running: asyncio.Task[None] | None = None
        self._chunk: list[StateRecord] = []
        self._encoded: list[KeyValue] = []
        self._bytes = 0
        self._dones: list[Done] = []
        self._appended: list[Done] = []

    def add(self, write: Write) -> None:
        self._queue.append(write)
        self._start()

    def add_now(self, write: Write) -> None:
        self.settle()
        self._take(write)
        self._append()
        self._start()

    def settle(self) -> None:
        self._take_queue()
        self._append()

    def _start(self) -> None:
        if self._running is None:
            self._running = asyncio.ensure_future(self._run())

    async def drain(self) -> None:
        while self._running is not None:
            await asyncio.wait([self._running])

    async def _run(self) -> None:
        try:
            while self._queue or self._appended:
                self._take_queue()
                self._append()
                appended, self._appended = self._appended, []
                try:
                    await self._partition.flushed(self._partition.end_offset)
                except StorageError as error:
                    _finish(appended, error)
                else:
                    _finish(appended, None)
        finally:
            self._running = None

    def _take_queue(self) -> None:
        queue, self._queue = self._queue, []
        for write in queue:
            self._take(write)

    def _take(self, write: Write) -> None:
        records = write.records
        if callable(records):
            self._append()
            try:
                records = records()
            except GroupError as error:
                if not write.done.done():
                    write.done.set_exception(error)
                return
        try:
            encoded = [encode(record) for record in records]
        except ValueError as error:
            # A text that has no UTF-8 is the fault of one write; the others go on.
            _finish([write.done], error)
            return
        self._encoded += encoded
        self._bytes += sum(len(one.key) + len(one.value or b"") for one in encoded)
        self._chunk += records
        self._dones.append(write.done)
        if self._bytes >= _BATCH_BYTES:
            self._append()

    def _append(self) -> None:
        """Append what was taken, as one batch, and apply it."""
        chunk, self._chunk = self._chunk, []
        encoded, self._encoded = self._encoded, []
        dones, self._dones = self._dones, []
        self._bytes = 0
        if chunk:
            now_ms = self._now_ms()
            batch = encode_batch([(now_ms, key, value, ()) for key, value in encoded])
            try:
                if self._is_long():
                    self._partition.seal()
                self._partition.append(batch)
            except (StorageError, BrokerError) as error:
                _finish(dones, error)
                return
            for record in chunk:
                self._apply(record)
        self._appended += dones

    def _is_long(self) -> bool:
        """Whether what cannot be compacted yet is as much as all the rest."""
        size = self._partition.facts().unsealed_bytes
        return size > _ACTIVE_BYTES and size > self._partition.size_bytes - size


def _finish(dones: list[Done], error: Exception | None) -> None:
    for done in dones:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(CoordinatorUnavailable(str(error)))


async def _read_all(partition: Partition) -> AsyncIterator[tuple[list[Record], int]]:
    """The records of a partition up to its present end, some at a time, and what follows them."""
    offset, end = partition.start_offset, partition.end_offset
    records: list[Record] = []
    while offset < end:
        fetched = await partition.read(offset, _READ_BYTES)
        for data in fetched.data:
            for position, header in batches(data):
                if header.next_offset > offset and not header.is_control:
                    found = decode_records(data, position=position)
                    records += [record for record in found if record.offset >= offset]
                if len(records) >= _APPLIED_AT_ONCE:
                    yield records, header.next_offset
                    records = []
        if fetched.next_offset <= offset:
            break
        offset = fetched.next_offset
    yield records, offset


def partition_of(group: str, partitions: int) -> int:
    """Where Kafka keeps a group: Java's String.hashCode over UTF-16 units, made positive."""
    if partitions == 1:
        return 0
    units = group.encode("utf-16-be", "surrogatepass")
    value = 0
    for i in range(0, len(units), 2):
        value = (31 * value + (units[i] << 8 | units[i + 1])) & 0xFFFFFFFF
    if value >= 0x80000000:
        value = 0x100000000 - value
    return (0 if value == 0x80000000 else value) % partitions
