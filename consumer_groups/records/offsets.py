"""Committed offsets and positions as values: what is committed, fetched, compared and reset."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

TopicPartition = tuple[str, int]


class OffsetAndMetadata(NamedTuple):
    """What a consumer commits: the offset it will read next."""

    offset: int
    leader_epoch: int = -1
    metadata: str = ""


class CommittedOffset(NamedTuple):
    """What a group has committed for one partition."""

    offset: int
    leader_epoch: int
    metadata: str
    commit_timestamp_ms: int
    expire_timestamp_ms: int = -1
    """Set only by clients older than Kafka 2.1; -1 leaves it to offsets.retention.minutes."""
    topic_id: UUID | None = None
    """Which topic of that name it was; None in records of Kafka before 4.1."""


class GroupOverview(NamedTuple):
    """One line of a list of groups."""

    group: str
    state: str
    """Empty, PreparingRebalance, CompletingRebalance, Stable, Dead; Assigning, Reconciling."""
    protocol_type: str
    """"consumer" for consumers, "" for a group that only commits."""
    group_type: str
    """"classic" or "consumer"."""
    members: int


class MemberDescription(NamedTuple):
    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    metadata: bytes
    """The subscription in the group's protocol; empty until the group is stable."""
    assignment: bytes
    topics: tuple[str, ...] | None
    """Subscribed topics, where the metadata is that of a consumer."""
    partitions: tuple[TopicPartition, ...]
    """Assigned partitions, where the assignment is that of a consumer."""


class GroupDescription(NamedTuple):
    group: str
    state: str
    protocol_type: str
    protocol: str
    """The assignor in use; empty until the group is stable."""
    group_type: str
    generation: int
    leader: str | None
    members: tuple[MemberDescription, ...]


class TopicIdPartitionName(NamedTuple):
    """A partition by everything it is called."""

    topic_id: UUID
    topic: str
    partition: int


class ConsumerMemberDescription(NamedTuple):
    member_id: str
    instance_id: str | None
    rack_id: str | None
    member_epoch: int
    client_id: str
    client_host: str
    topic_names: tuple[str, ...]
    topic_regex: str | None
    assigned: tuple[TopicIdPartitionName, ...]
    target: tuple[TopicIdPartitionName, ...]
    is_classic: bool
    """Takes part through the classic protocol."""


class ConsumerGroupDescription(NamedTuple):
    """A group of the new protocol (KIP-848)."""

    group: str
    state: str
    epoch: int
    target_epoch: int
    assignor: str
    members: tuple[ConsumerMemberDescription, ...]


class PartitionLag(NamedTuple):
    """How far a group is behind in one partition."""

    topic: str
    partition: int
    committed: int | None
    end_offset: int
    lag: int | None
    """Records between the committed offset, or where the group began, and the end; else None."""
    lag_seconds: float | None
    """How long ago the first record not yet consumed was written; None where it is not known."""
    member_id: str | None = None
    """Who owns the partition now."""


class OffsetChange(NamedTuple):
    """One partition of an offset reset."""

    topic: str
    partition: int
    before: int | None
    after: int


class ResetTarget(NamedTuple):
    """Where a reset goes: build it with one of the class methods."""

    kind: str
    value: int = 0

    @classmethod
    def earliest(cls) -> ResetTarget:
        return cls("earliest")

    @classmethod
    def latest(cls) -> ResetTarget:
        return cls("latest")

    @classmethod
    def offset(cls, offset: int) -> ResetTarget:
        return cls("offset", offset)

    @classmethod
    def timestamp(cls, timestamp_ms: int) -> ResetTarget:
        """The first record at or after a time; the end where there is none."""
        return cls("timestamp", timestamp_ms)

    @classmethod
    def duration(cls, duration_ms: int) -> ResetTarget:
        """The first record of the last ``duration_ms``."""
        return cls("duration", duration_ms)

    @classmethod
    def shift(cls, by: int) -> ResetTarget:
        """Forward (positive) or back (negative) from where the group is."""
        return cls("shift", by)
