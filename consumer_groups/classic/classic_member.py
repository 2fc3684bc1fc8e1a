"""One member of a classic group: what it said when it joined, what it waits for, when it is due."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from tidelog.consumer_groups.classic.membership import JoinRequest
from tidelog.consumer_groups.records.group_records import GroupMember

Ticket = Hashable
"""Whom a reply is for: the group hands it back as it was given."""

NEVER_MS = 2**63 - 1

Protocols = tuple[tuple[str, bytes], ...]


@dataclass(slots=True, eq=False)
class Member:
    """A waiting member (``joining`` or ``syncing``) is not expected to send heartbeats."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocols: Protocols
    assignment: bytes = b""
    is_new: bool = False
    """It has not had a reply to its first join, so it cannot know that it is a member."""
    joining: Ticket | None = None
    syncing: Ticket | None = None
    deadline_ms: int = NEVER_MS
    """When the member is given up unless it is heard of before."""

    @classmethod
    def joined(cls, member_id: str, request: JoinRequest) -> Member:
        return cls(
            member_id=member_id,
            instance_id=request.instance_id,
            client_id=request.client_id,
            client_host=request.client_host,
            session_timeout_ms=request.session_timeout_ms,
            rebalance_timeout_ms=request.rebalance_timeout_ms,
            protocols=request.protocols,
            is_new=True,
        )

    @classmethod
    def restored(cls, stored: GroupMember, protocol: str) -> Member:
        return cls(
            member_id=stored.member_id,
            instance_id=stored.instance_id,
            client_id=stored.client_id,
            client_host=stored.client_host,
            session_timeout_ms=stored.session_timeout_ms,
            rebalance_timeout_ms=stored.rebalance_timeout_ms,
            protocols=((protocol, stored.subscription),),
            assignment=stored.assignment,
        )

    def stored(self, protocol: str | None, assignment: bytes) -> GroupMember:
        """The member as the log keeps it."""
        return GroupMember(
            self.member_id,
            self.instance_id,
            self.client_id,
            self.client_host,
            self.rebalance_timeout_ms,
            self.session_timeout_ms,
            self.metadata(protocol),
            assignment,
        )

    @property
    def is_waiting(self) -> bool:
        return self.joining is not None or self.syncing is not None

    def metadata(self, protocol: str | None) -> bytes:
        """What the member says in the given protocol."""
        return dict(self.protocols).get(protocol or "", b"")

    def vote(self, candidates: frozenset[str]) -> str:
        """The first of the member's protocols that everybody speaks."""
        return next(name for name, _ in self.protocols if name in candidates)
