"""What every group has committed. State changes only by applying records of the offsets topic.

Methods that change something return the records to append; they show once they were appended and
given to ``apply``. Loading the topic after a start is the same ``apply`` for each record in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from tidelog.consumer_groups.records.group_records import OffsetRecord
from tidelog.consumer_groups.records.offsets import (
    CommittedOffset,
    OffsetAndMetadata,
    TopicPartition,
)

Offsets = dict[TopicPartition, CommittedOffset]


class OffsetStore:
    def __init__(self) -> None:
        self._groups: dict[str, Offsets] = {}

    def __len__(self) -> int:
        """How many offsets are kept."""
        return sum(map(len, self._groups.values()))

    def groups(self) -> Iterable[str]:
        """Groups that have committed something; if it is gone, they live until ``drop``."""
        return self._groups.keys()

    def __contains__(self, group: str) -> bool:
        return group in self._groups

    def committed(self, group: str) -> Mapping[TopicPartition, CommittedOffset]:
        return self._groups.get(group, {})

    def apply(self, record: OffsetRecord) -> None:
        place = (record.topic, record.partition)
        if record.value is not None:
            self._groups.setdefault(record.group, {})[place] = record.value
            return
        self._groups.get(record.group, {}).pop(place, None)

    def drop(self, group: str) -> None:
        """Forget a group that has nothing committed, as its tombstone asks."""
        if not self._groups.get(group, True):
            del self._groups[group]


def commit(
    group: str,
    offsets: Mapping[TopicPartition, OffsetAndMetadata],
    topic_ids: Mapping[str, UUID],
    now_ms: int,
) -> list[OffsetRecord]:
    """The records of one commit."""
    return [
        OffsetRecord(
            group,
            topic,
            partition,
            CommittedOffset(
                offset.offset,
                offset.leader_epoch,
                offset.metadata,
                now_ms,
                -1,
                topic_ids.get(topic),
            ),
        )
        for (topic, partition), offset in offsets.items()
    ]


def forget(group: str, places: Iterable[TopicPartition]) -> list[OffsetRecord]:
    """The tombstones of some offsets."""
    return [OffsetRecord(group, topic, partition, None) for topic, partition in places]


def is_expired(
    offset: CommittedOffset, since_ms: int | None, retention_ms: int, now_ms: int
) -> bool:
    """Whether an offset has outlived its time (KIP-211); ``since_ms`` is None while in use."""
    if since_ms is None:
        return False
    if offset.expire_timestamp_ms >= 0:
        return now_ms >= offset.expire_timestamp_ms
    return now_ms - since_ms >= retention_ms
