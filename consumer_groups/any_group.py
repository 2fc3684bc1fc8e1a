"""What every kind of group answers, so that nobody has to ask which kind it is.

A group is a pure machine (``classic_group``, ``consumer_group``), of which ``GroupFacts`` is what
all have in common, and the shell that puts it to work (``served_classic``, ``served_consumer``):
``AnyGroup``. A new kind is a machine, its records and such a shell, named in ``coordinator.KINDS``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Sized
from typing import Any, ClassVar, Protocol

from tidelog.consumer_groups.classic.membership import (
    HeartbeatRequest,
    JoinReply,
    JoinRequest,
    LeavingMember,
    LeftMember,
    SyncReply,
    SyncRequest,
)
from tidelog.consumer_groups.consumer.consumer_group import ConsumerGroup
from tidelog.consumer_groups.consumer.heartbeat import ConsumerHeartbeat
from tidelog.consumer_groups.records.group_records import StateRecord
from tidelog.consumer_groups.records.offsets import GroupDescription, TopicPartition

CLASSIC = "classic"
CONSUMER = "consumer"


class GroupFacts(Protocol):
    """What a group is at the moment."""

    name: str

    @property
    def state_name(self) -> str: ...
    @property
    def protocol_type(self) -> str | None: ...
    @property
    def members(self) -> Sized: ...
    @property
    def wake_ms(self) -> int:
        """``expire`` has nothing to do before this time of the steady clock."""

    @property
    def is_empty(self) -> bool: ...
    @property
    def is_disposable(self) -> bool:
        """Nobody is in the group nor about to be."""

    def is_subscribed_to(self, topic: str) -> bool: ...
    def retained_since_ms(self, topic: str, committed_ms: int) -> int | None:
        """When the retention of an offset began, None while it is in use (KIP-211)."""


class AnyGroup(Protocol):
    kind: ClassVar[str]
    """As Kafka lists it: "classic" or "consumer"."""
    records: ClassVar[frozenset[type[Any]]]
    """Which records speak of groups of this kind."""

    @property
    def facts(self) -> GroupFacts: ...
    @property
    def consumer(self) -> ConsumerGroup | None:
        """The group for those who speak of the new protocol's alone; None for other kinds."""

    # Shown

    def describe(self) -> GroupDescription: ...
    def owners(self) -> dict[TopicPartition, str]:
        """The member that has each partition."""

    # Offsets; they raise what is in the way

    def check_commit(
        self,
        member_id: str,
        generation: int,
        instance_id: str | None,
        places: Iterable[TopicPartition],
    ) -> None: ...
    def check_fetch(self, member_id: str, epoch: int) -> None: ...

    # Members of either protocol; errors are those of the coordinator's methods

    @property
    def gives_way(self) -> bool:
        """It is to be forgotten when a classic member joins."""

    async def join(self, request: JoinRequest, new_id: str) -> JoinReply: ...
    async def sync(self, request: SyncRequest) -> SyncReply: ...
    def heartbeat(self, request: HeartbeatRequest) -> None: ...
    async def leave(self, members: Sequence[LeavingMember]) -> list[LeftMember]: ...
    def to_beat(self, heartbeat: ConsumerHeartbeat) -> tuple[ConsumerGroup, Sequence[StateRecord]]:
        """The group that takes the heartbeat, and what is to be written before its records."""

    # Time and records

    def resume(self) -> None:
        """The topic is loaded: the group's clocks start."""

    def expire(self, now_ms: int) -> None:
        """Do what is due."""

    def apply(self, record: Any) -> None:
        """One of ``records``, but for the tombstone that ends the group."""

    def end(self) -> None:
        """The group is forgotten: who waits here has to join again."""

    def tombstones(self) -> Sequence[StateRecord]:
        """The records that forget the group, as it is now."""
