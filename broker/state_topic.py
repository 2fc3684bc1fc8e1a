"""State that is what the records of an internal topic say: written in order, read back on a start.

Records are applied as soon as they are appended, and a write is done when they are on stable
storage. Writes that arrive while a flush is under way wait for it and share one append and one
flush. A write may be a function that makes the records: it is called when its turn has come and
everything before it is applied.

Whose state it is has a key, a group's name for one, and its records live in the partition that
Kafka would choose: the absolute value of Java's ``String.hashCode`` of the key, modulo the
partition count. What producers wrote in transactions counts once a marker says so, see
``transactions.py``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from tidelog.broker.broker import Broker
from tidelog.broker.errors import BrokerError, TopicExists, UnknownTopic
from tidelog.broker.partition import Partition
from tidelog.broker.records.transactions import Transactions
from tidelog.broker.topic import Topic
from tidelog.storage.batches.record import Record
from tidelog.storage.batches.record_batch import batches, decode_batch, encode_batch
from tidelog.storage.errors import StorageError, WritesStopped

R = TypeVar("R")

_BATCH_BYTES = 512 * 1024
_READ_BYTES = 256 * 1024
_APPLIED_AT_ONCE = 200
"""Records, between two of which the loop serves others."""
_MESSAGE_BYTES_MAX = 64 * 1024 * 1024
_ACTIVE_BYTES = 1024 * 1024
"""Less than this is not worth a segment."""
_ANY_AGE_MS = 2**63 - 1
_TOMBSTONE_MS = 60 * 60 * 1000
_DELETE_DELAY_MS = 1000

KeyValue = tuple[bytes, bytes | None]
"""A record as it is appended; a tombstone has no value."""
Done = asyncio.Future[None]

_log = logging.getLogger("tidelog.groups")


@dataclass(frozen=True, slots=True, kw_only=True)
class StateKind(Generic[R]):
    """Which state it is and how it is written down."""

    topic: str
    partitions: int
    """Of a topic that has yet to be created, as ``segment_bytes``."""
    segment_bytes: int
    encode: Callable[[R], KeyValue]
    """Raises ValueError for what cannot be written."""
    decode: Callable[[bytes | None, bytes | None], R | None]
    """None for a record of a kind not known; raises ValueError for one that cannot be read."""
    unavailable: Callable[[str], Exception]
    """What callers are told where the topic cannot be written or read, made from the reason."""


class _Write(NamedTuple, Generic[R]):
    key: str
    records: Sequence[R] | Callable[[], Sequence[R]]
    done: Done


class StateTopic(Generic[R]):
    """The topic is created by the first write, unless ``load`` finds it."""

    def __init__(self, broker: Broker, kind: StateKind[R], apply: Callable[[R], None]) -> None:
        self._broker = broker
        self._kind = kind
        self._apply = apply
        self._writers: list[_Writer[R]] = []
        self._early: list[_Write[R]] = []
        self._creation: asyncio.Task[None] | None = None
        self.loaded = 0
        self.total = 0
        self.unreadable: dict[int | None, str] = {}
        """Partitions whose records are not known, and why."""

    async def load(self) -> None:
        """Apply everything the topic holds, leaving the loop to others in between."""
        try:
            topic = self._broker.topic(self._kind.topic)
        except UnknownTopic:
            return
        self.total = sum(p.end_offset - p.start_offset for p in topic.partitions)
        for partition in topic.partitions:
            try:
                await self._load_partition(partition)
            except StorageError as error:
                self.unreadable[partition.index] = str(error)
                _log.error(
                    "%s-%d cannot be read, what it holds stays unavailable: %s",
                    *(self._kind.topic, partition.index, error),
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

    def check(self, key: str) -> None:
        """Raises ``unavailable`` where the records of this key are not known."""
        if self.unreadable:
            index = partition_of(key, len(self._writers))
            reason = self.unreadable.get(index)
            if reason is not None:
                name = f"{self._kind.topic}-{index}"
                raise self._kind.unavailable(f"{name} cannot be read: {reason}")

    def _apply_all(self, records: list[Record]) -> None:
        for record in records:
            try:
                decoded = self._kind.decode(record.key, record.value)
            except ValueError as error:
                name = self._kind.topic
                _log.warning("record %d of %s is skipped: %s", record.offset, name, error)
                continue
            if decoded is not None:
                self._apply(decoded)

    def write(self, key: str, records: Sequence[R] | Callable[[], Sequence[R]]) -> Done:
        """Append and apply the records of a key; done when they are durable.

        Fails with ``unavailable`` where they could not be written, and with what the function
        raises; nothing is applied then.
        """
        done: Done = asyncio.get_running_loop().create_future()
        self._add(_Write(key, records, done))
        return done

    async def exists(self) -> None:
        """Return when the topic is there; ``write_now`` needs that."""
        if not self._writers:
            await self.write("", ())

    def write_now(self, key: str, records: Sequence[R]) -> Done:
        """As ``write``, but appended and applied, after all earlier writes, when this returns.

        Raises ``unavailable``.
        """
        done: Done = asyncio.get_running_loop().create_future()
        self._writer(key).add_now(_Write(key, records, done))
        if done.done() and (error := done.exception()) is not None:
            raise error
        return done

    async def settle(self, key: str) -> None:
        """Return when earlier writes of the key are appended and applied, durable or not yet."""
        if self._creation is not None:
            await asyncio.wait([self._creation])
        if self._writers:
            self._writer(key).settle()

    def _writer(self, key: str) -> _Writer[R]:
        return self._writers[partition_of(key, len(self._writers))]

    def _add(self, write: _Write[R]) -> None:
        if self._writers:
            self._writer(write.key).add(write)
            return
        self._early.append(write)
        if self._creation is None:
            self._creation = asyncio.ensure_future(self._create())

    async def _create(self) -> None:
        settings = {
            "cleanup.policy": "compact",
            "compression.type": "producer",
            "segment.bytes": str(self._kind.segment_bytes),
            "max.message.bytes": str(_MESSAGE_BYTES_MAX),
            "message.timestamp.before.max.ms": str(_ANY_AGE_MS),
            "min.cleanable.dirty.ratio": "0.4",
            "delete.retention.ms": str(_TOMBSTONE_MS),
            "file.delete.delay.ms": str(_DELETE_DELAY_MS),
        }
        name, partitions = self._kind.topic, self._kind.partitions
        failure: Exception | None = None
        try:
            self._open(await self._broker.create_topic(name, partitions, settings, internal=True))
        except TopicExists:
            self._open(self._broker.topic(self._kind.topic))
        except (BrokerError, StorageError) as error:
            failure = error
        self._creation = None
        early, self._early = self._early, []
        for write in early:
            if failure is None:
                self._add(write)
            else:
                _finish([write.done], failure, self._kind.unavailable)

    def _open(self, topic: Topic) -> None:
        now_ms = self._broker.clock.now_ms
        self._writers = [
            _Writer(part, now_ms, self._kind, self._apply) for part in topic.partitions
        ]

    async def drain(self) -> None:
        """Return when every write so far has ended, well or not."""
        if self._creation is not None:
            await asyncio.wait([self._creation])
        for writer in self._writers:
            await writer.drain()


class _Writer(Generic[R]):
    """The writes of one partition: what has gathered is appended at once, then flushed."""

    def __init__(
        self,
        partition: Partition,
        now_ms: Callable[[], int],
        kind: StateKind[R],
        apply: Callable[[R], None],
    ) -> None:
        self._partition = partition
        self._now_ms = now_ms
        self._kind = kind
        self._apply = apply
        self._queue: list[_Write[R]] = []
        self._running: asyncio.Task[None] | None = None
        self._chunk: list[R] = []
        self._encoded: list[KeyValue] = []
        self._bytes = 0
        self._dones: list[Done] = []
        self._appended: list[Done] = []

    def add(self, write: _Write[R]) -> None:
        self._queue.append(write)
        self._start()

    def add_now(self, write: _Write[R]) -> None:
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
                    _finish(appended, error, self._kind.unavailable)
                else:
                    _finish(appended, None, self._kind.unavailable)
        finally:
            self._running = None

    def _take_queue(self) -> None:
        queue, self._queue = self._queue, []
        for write in queue:
            self._take(write)

    def _take(self, write: _Write[R]) -> None:
        records = write.records
        if callable(records):
            self._append()
            try:
                records = records()
            except Exception as error:
                if not write.done.done():
                    write.done.set_exception(error)
                return
        try:
            encoded = [self._kind.encode(record) for record in records]
        except ValueError as error:
            # A text that has no UTF-8 is the fault of one write; the others go on.
            _finish([write.done], error, self._kind.unavailable)
            return
        self._encoded += encoded
        self._bytes += sum(len(key) + len(value or b"") for key, value in encoded)
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
                _finish(dones, error, self._kind.unavailable)
                return
            for record in chunk:
                self._apply(record)
        self._appended += dones

    def _is_long(self) -> bool:
        """Whether what cannot be compacted yet is as much as all the rest."""
        size = self._partition.unsealed_bytes
        return size > _ACTIVE_BYTES and size > self._partition.size_bytes - size


def _finish(
    dones: list[Done], error: Exception | None, unavailable: Callable[[str], Exception]
) -> None:
    for done in dones:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(unavailable(str(error)))


async def _read_all(partition: Partition) -> AsyncIterator[tuple[list[Record], int]]:
    """What counts in a partition up to its present end, some at a time, and what follows that."""
    offset, end = partition.start_offset, partition.end_offset
    transactions = Transactions()
    records: list[Record] = []
    while offset < end:
        fetched = await partition.read(offset, _READ_BYTES)
        for data in fetched.data:
            for position, header in batches(data):
                if header.next_offset > offset:
                    found = decode_batch(data, position, header)
                    records += transactions.counting(
                        header, [record for record in found if record.offset >= offset]
                    )
                if len(records) >= _APPLIED_AT_ONCE:
                    yield records, header.next_offset
                    records = []
        if fetched.next_offset <= offset:
            break
        offset = fetched.next_offset
    yield records, offset


def partition_of(key: str, partitions: int) -> int:
    """Where Kafka keeps a key: Java's String.hashCode over UTF-16 units, made positive."""
    if partitions == 1:
        return 0
    units = key.encode("utf-16-be", "surrogatepass")
    value = 0
    for i in range(0, len(units), 2):
        value = (31 * value + (units[i] << 8 | units[i + 1])) & 0xFFFFFFFF
    if value >= 0x80000000:
        value = 0x100000000 - value
    return (0 if value == 0x80000000 else value) % partitions
