"""Where an offset reset leads: each target, resolved against what a partition holds.

As with Kafka's own tool, an offset outside of the log becomes the nearest one inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tidelog.broker.broker import Broker
from tidelog.broker.partition import Partition
from tidelog.consumer_groups.errors import InvalidReset
from tidelog.consumer_groups.records.offsets import (
    CommittedOffset,
    OffsetChange,
    ResetTarget,
    TopicPartition,
)


def chosen(
    broker: Broker,
    committed: Mapping[TopicPartition, CommittedOffset],
    topics: Iterable[str] | None,
    partitions: Iterable[TopicPartition] | None,
) -> list[Partition]:
    """The partitions to reset: those named, all of the topics named, or all that are committed.

    Raises UnknownTopic, UnknownPartition, PartitionOffline.
    """
    if topics is None and partitions is None:
        places = set(committed)
    else:
        places = set(partitions or ())
        for topic in topics or ():
            places.update((topic, part.index) for part in broker.topic(topic).partitions)
    return [broker.topic(topic).partition(index) for topic, index in sorted(places)]


async def changes(
    to: ResetTarget,
    partitions: Iterable[Partition],
    committed: Mapping[TopicPartition, CommittedOffset],
    now_ms: int,
) -> list[OffsetChange]:
    """Raises InvalidReset."""
    found: list[OffsetChange] = []
    for partition in partitions:
        offset = committed.get((partition.topic, partition.index))
        before = None if offset is None else offset.offset
        target = await _resolve(to, partition, before, now_ms)
        after = min(max(target, partition.start_offset), partition.high_watermark)
        found.append(OffsetChange(partition.topic, partition.index, before, after))
    return found


async def _resolve(to: ResetTarget, partition: Partition, before: int | None, now_ms: int) -> int:
    if to.kind == "earliest":
        return partition.start_offset
    if to.kind == "latest":
        return partition.high_watermark
    if to.kind == "offset":
        return to.value
    if to.kind in ("timestamp", "duration"):
        timestamp_ms = to.value if to.kind == "timestamp" else now_ms - to.value
        found = await partition.offset_for_timestamp(timestamp_ms)
        return partition.high_watermark if found is None else found[0]
    if to.kind != "shift":
        raise InvalidReset(f"{to.kind!r} is no target of a reset")
    if before is None:
        raise InvalidReset(
            f"{partition.topic}-{partition.index} has no committed offset to shift from"
        )
    return before + to.value
