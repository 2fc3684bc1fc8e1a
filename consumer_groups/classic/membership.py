"""What members of a group ask and are answered, in the classic protocol.

The words are those of Kafka's JoinGroup, SyncGroup, Heartbeat and LeaveGroup messages. Errors
are raised, see ``errors.py``; only LeaveGroup, which speaks of several members at once, answers
them one by one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tidelog.consumer_groups.errors import GroupError

UNKNOWN_MEMBER_ID = ""
CONSUMER_PROTOCOL_TYPE = "consumer"


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRequest:
    """A member enters, or comes back into, its group."""

    group: str
    member_id: str = UNKNOWN_MEMBER_ID
    instance_id: str | None = None
    client_id: str = ""
    client_host: str = ""
    session_timeout_ms: int
    rebalance_timeout_ms: int
    """-1 (JoinGroup v0) stands for the session timeout."""
    protocol_type: str = CONSUMER_PROTOCOL_TYPE
    protocols: tuple[tuple[str, bytes], ...]
    """Name and metadata of each protocol the member speaks, best first."""
    require_known_member_id: bool = True
    """JoinGroup v4 and later: a new dynamic member first gets its id (KIP-394)."""
    reason: str = ""
    supports_skipping_assignment: bool = True
    """JoinGroup v9 and later: a returning static leader may be told not to assign (KIP-814)."""


@dataclass(frozen=True, slots=True)
class JoinedMember:
    """A member as its leader sees it."""

    member_id: str
    instance_id: str | None
    metadata: bytes


@dataclass(frozen=True, slots=True)
class JoinReply:
    generation: int
    protocol_type: str | None
    protocol: str | None
    leader: str
    member_id: str
    members: tuple[JoinedMember, ...] = ()
    """All members for the leader, none for the others."""
    skip_assignment: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRequest:
    """A member asks for its assignment; the leader brings everybody's."""

    group: str
    generation: int
    member_id: str
    instance_id: str | None = None
    protocol_type: str | None = None
    protocol: str | None = None
    assignments: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SyncReply:
    protocol_type: str | None
    protocol: str | None
    assignment: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatRequest:
    group: str
    generation: int
    member_id: str
    instance_id: str | None = None


@dataclass(frozen=True, slots=True)
class LeavingMember:
    """Who is to leave; a static member may be named by its instance id alone."""

    member_id: str = UNKNOWN_MEMBER_ID
    instance_id: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LeftMember:
    member_id: str
    instance_id: str | None
    error: GroupError | None = None
