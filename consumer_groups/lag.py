"""How far groups are behind: in records, and in the time that the next record has been waiting.

When a record was written never changes, so what was read for that is kept, within a bound: asking
again, as a page of metrics does, reads nothing for groups that stand still.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from tidelog.broker.broker import Broker
from tidelog.broker.errors import BrokerError
from tidelog.broker.partition import Partition
from tidelog.consumer_groups.descriptions import AnyGroup, assigned, named
from tidelog.consumer_groups.group import Group
from tidelog.consumer_groups.offsets import CommittedOffset, PartitionLag, TopicPartition
from tidelog.storage.errors import StorageError
from tidelog.storage.read_cache import LogId

_KEPT = 20_000


class Lag:
    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._written_ms: OrderedDict[tuple[LogId, int], int] = OrderedDict()

    async def of(
        self, group: AnyGroup, committed: Mapping[TopicPartition, CommittedOffset]
    ) -> list[PartitionLag]:
        """One line per partition that is committed or assigned, in order."""
        owners = self._owners(group)
        lines: list[PartitionLag] = []
        for topic, index in sorted(committed.keys() | owners.keys()):
            try:
                partition = self._broker.topic(topic).partition(index)
            except BrokerError:
                continue
            offset = committed.get((topic, index))
            owner = owners.get((topic, index))
            lines.append(await self._line(partition, offset, owner))
        return lines

    def _owners(self, group: AnyGroup) -> dict[TopicPartition, str]:
        if isinstance(group, Group):
            return {
                place: member.member_id
                for member in group.members
                for place in assigned(member, group.protocol_type)
            }
        return {
            (place.topic, place.partition): member.member_id
            for member in group.members.values()
            for place in named(member.current.assigned, self._broker)
        }

    async def _line(
        self, partition: Partition, offset: CommittedOffset | None, owner: str | None
    ) -> PartitionLag:
        topic, index, end = partition.topic, partition.index, partition.high_watermark
        if offset is None:
            return PartitionLag(topic, index, None, end, None, None, owner)
        following = max(offset.offset, partition.start_offset)
        behind = max(end - following, 0)
        seconds = await self._seconds_behind(partition, following) if behind else 0.0
        return PartitionLag(topic, index, offset.offset, end, behind, seconds, owner)

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
