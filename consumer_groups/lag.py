"""How far groups are behind: in records, and in the time that the next record has been waiting.

A group of consumers reads all of a topic: a partition of which it has committed nothing is told of
too, counted from where the group began, or as not known.

When a record was written never changes, so what was read for that is kept, within a bound: asking
again, as a page of metrics does, reads nothing for groups that stand still.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Mapping, Set

from tidelog.broker.broker import Broker
from tidelog.broker.errors import BrokerError
from tidelog.broker.partition import Partition
from tidelog.consumer_groups.any_group import AnyGroup
from tidelog.consumer_groups.beginnings import Beginnings
from tidelog.consumer_groups.classic.membership import CONSUMER_PROTOCOL_TYPE
from tidelog.consumer_groups.records.offsets import CommittedOffset, PartitionLag, TopicPartition
from tidelog.storage.cache.read_cache import LogId
from tidelog.storage.errors import StorageError

_KEPT = 20_000


class Lag:
    def __init__(self, broker: Broker, beginnings: Beginnings) -> None:
        self._broker = broker
        self._beginnings = beginnings
        self._written_ms: OrderedDict[tuple[LogId, int], int] = OrderedDict()

    async def of(
        self, group: AnyGroup, committed: Mapping[TopicPartition, CommittedOffset]
    ) -> list[PartitionLag]:
        """One line per partition that is committed or assigned, or begins to be read, in order."""
        owners = group.owners()
        lines: list[PartitionLag] = []
        for partition in self._partitions(group, committed.keys() | owners.keys()):
            place = partition.topic, partition.index
            offset = committed.get(place)
            begun = self._begun(group.facts.name, partition) if offset is None else offset.offset
            lines.append(await self._line(partition, offset, begun, owners.get(place)))
        return lines

    def begin(self, group: AnyGroup, committed: Set[TopicPartition]) -> None:
        """Note where the group begins in what is empty now and has no committed offset."""
        for partition in self._partitions(group, committed | group.owners().keys()):
            if (partition.topic, partition.index) not in committed:
                self._begun(group.facts.name, partition)

    def _partitions(self, group: AnyGroup, places: Set[TopicPartition]) -> list[Partition]:
        """Those of the places, and of a group of consumers all others that it reads or will."""
        wanted = set(places)
        topics = {topic for topic, _ in places}
        if group.facts.protocol_type == CONSUMER_PROTOCOL_TYPE:
            wanted |= {(name, part.index) for name in topics for part in self._all(name)}
        for topic_id, index in self._beginnings.of(group.facts.name):
            with contextlib.suppress(BrokerError):
                wanted.add((self._broker.topic_by_id(topic_id).name, index))
        partitions = []
        for topic, index in sorted(wanted):
            with contextlib.suppress(BrokerError):
                partitions.append(self._broker.topic(topic).partition(index))
        return partitions

    def _all(self, topic: str) -> list[Partition]:
        try:
            return self._broker.topic(topic).partitions
        except BrokerError:
            return []

    def _begun(self, group: str, partition: Partition) -> int | None:
        """Where the group begins that has committed nothing; None where nobody can know."""
        place = partition.topic_id, partition.index
        begun = self._beginnings.of(group).get(place)
        if begun is None and partition.start_offset == partition.high_watermark:
            begun = partition.high_watermark
            self._beginnings.note(group, {place: begun})
        return begun

    async def _line(
        self,
        partition: Partition,
        committed: CommittedOffset | None,
        offset: int | None,
        owner: str | None,
    ) -> PartitionLag:
        """``offset`` is what the group reads next."""
        place, end = (partition.topic, partition.index), partition.high_watermark
        told = None if committed is None else committed.offset
        if offset is None:
            return PartitionLag(*place, told, end, None, None, owner)
        following = max(offset, partition.start_offset)
        behind = max(end - following, 0)
        seconds = await self._seconds_behind(partition, following) if behind else 0.0
        return PartitionLag(*place, told, end, behind, seconds, owner)

    async def _seconds_behind(self, partition: Partition, offset: int) -> float | None:
        """None where the record cannot be read."""
        key = partition.log_id, offset
        written_ms = self._written_ms.get(key)
        if written_ms is None:
            try:
                written_ms = await partition.timestamp_at(offset)
            except StorageError:
                written_ms = None
            if written_ms is None:
                return None
            self._written_ms[key] = written_ms
            if len(self._written_ms) > _KEPT:
                self._written_ms.popitem(last=False)
        else:
            self._written_ms.move_to_end(key)
        return max(self._broker.clock.now_ms() - written_ms, 0) / 1000
