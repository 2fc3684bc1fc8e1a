"""What a member of a group of the new protocol says and hears: ConsumerGroupHeartbeat (KIP-848).

Fields that are None did not change since the member's last heartbeat.
"""

from __future__ import annotations

from dataclasses import dataclass

from tidelog.consumer_groups.errors import InvalidHeartbeat, UnsupportedAssignor
from tidelog.consumer_groups.records.consumer_group_records import ClassicMetadata, TopicIdPartition

JOIN_EPOCH = 0
LEAVE_EPOCH = -1
LEAVE_STATIC_EPOCH = -2
"""A static member goes for a while; its partitions wait for it until its session ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerHeartbeat:
    group: str
    member_id: str
    member_epoch: int
    """0 to join, -1 to leave, -2 for a static member that will be back."""
    instance_id: str | None = None
    rack_id: str | None = None
    client_id: str = ""
    client_host: str = ""
    rebalance_timeout_ms: int = -1
    topic_names: tuple[str, ...] | None = None
    topic_regex: str | None = None
    assignor: str | None = None
    owned: tuple[TopicIdPartition, ...] | None = None
    """All partitions that the member owns now."""
    classic: ClassicMetadata | None = None
    """Of a member that takes part through the classic protocol."""

    @property
    def is_full(self) -> bool:
        """The member says everything, because it joins or lost track; it wants to hear all."""
        subscribes = self.topic_names is not None or self.topic_regex is not None
        return self.rebalance_timeout_ms != -1 and subscribes and self.owned is not None

    def check(self, assignors: tuple[str, ...]) -> None:
        """Raises InvalidHeartbeat, UnsupportedAssignor."""
        for name, text in (
            ("member id", self.member_id),
            ("group id", self.group),
            ("instance id", self.instance_id),
            ("rack id", self.rack_id),
        ):
            if text == "":
                raise InvalidHeartbeat(f"the {name} cannot be empty")
        if self.member_epoch == JOIN_EPOCH:
            if self.rebalance_timeout_ms == -1:
                raise InvalidHeartbeat("a member that joins says its rebalance timeout")
            if self.owned is None or self.owned:
                raise InvalidHeartbeat("a member that joins owns no partitions, and says so")
            if self.topic_names is None and self.topic_regex is None:
                raise InvalidHeartbeat("a member that joins says what it subscribes to")
        elif self.member_epoch == LEAVE_STATIC_EPOCH and self.instance_id is None:
            raise InvalidHeartbeat("only a static member can leave to be back")
        elif self.member_epoch < LEAVE_STATIC_EPOCH:
            raise InvalidHeartbeat(f"{self.member_epoch} is no member epoch")
        if self.assignor is not None and self.assignor not in assignors:
            raise UnsupportedAssignor(self.assignor, assignors)


@dataclass(frozen=True, slots=True)
class ConsumerHeartbeatReply:
    member_id: str
    member_epoch: int
    heartbeat_interval_ms: int
    assignment: tuple[TopicIdPartition, ...] | None = None
    """All partitions the member is to have now; None where that did not change."""
