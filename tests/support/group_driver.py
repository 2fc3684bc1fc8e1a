"""Drives one group by hand: gives out tickets, keeps replies and what was to be stored."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any, TypeVar

from tidelog.consumer_groups.classic.classic_group import Group
from tidelog.consumer_groups.classic.membership import (
    HeartbeatRequest,
    JoinReply,
    JoinRequest,
    LeavingMember,
    LeftMember,
    SyncReply,
    SyncRequest,
)
from tidelog.consumer_groups.classic.rebalance import Outcome, State, Store
from tidelog.consumer_groups.errors import GroupError, MemberIdRequired
from tidelog.consumer_groups.settings import GroupSettings

Result = JoinReply | SyncReply | GroupError
R = TypeVar("R", JoinReply, SyncReply)

SESSION_MS = 10_000
REBALANCE_MS = 60_000


class GroupDriver:
    """Metadata is stored at once unless ``holds`` is set; then it waits in ``held``."""

    def __init__(self, settings: GroupSettings | None = None) -> None:
        self.group = Group("g", settings or GroupSettings())
        self.now_ms = 0
        self.holds = False
        self.held: list[Store] = []
        self.stores: list[Store] = []
        self.replies: dict[int, Result] = {}
        self._tickets = count(1)
        self._names = count(1)

    def state(self) -> State:
        return self.group.state

    def request(self, member_id: str = "", **changes: Any) -> JoinRequest:
        request = JoinRequest(
            group="g",
            member_id=member_id,
            client_id="client",
            client_host="/127.0.0.1",
            session_timeout_ms=SESSION_MS,
            rebalance_timeout_ms=REBALANCE_MS,
            protocols=(("range", b"r"), ("sticky", b"s")),
        )
        return replace(request, **changes)

    def join(self, member_id: str = "", **changes: Any) -> int:
        """Send a join, return its ticket."""
        ticket = next(self._tickets)
        request = self.request(member_id, **changes)
        new_id = "" if member_id else f"m{next(self._names)}"
        self._take(self.group.join(request, ticket, new_id, self.now_ms))
        return ticket

    def enter(self, **changes: Any) -> tuple[str, int]:
        """Join in two steps as a new dynamic member; its id and the ticket of the second join."""
        refused = self.replies.pop(self.join(**changes))
        assert isinstance(refused, MemberIdRequired)
        return refused.member_id, self.join(refused.member_id, **changes)

    def sync(
        self, member_id: str, assignments: dict[str, bytes] | None = None, **changes: Any
    ) -> int:
        ticket = next(self._tickets)
        request = SyncRequest(
            group="g",
            generation=self.group.generation,
            member_id=member_id,
            assignments=assignments or {},
        )
        request = replace(request, **changes)
        self._take(self.group.sync(request, ticket))
        return ticket

    def heartbeat(self, member_id: str, **changes: Any) -> None:
        request = HeartbeatRequest(group="g", generation=self.group.generation, member_id=member_id)
        self.group.heartbeat(replace(request, **changes), self.now_ms)

    def leave(self, *members: LeavingMember) -> list[LeftMember]:
        left, outcome = self.group.leave(members, self.now_ms)
        self._take(outcome)
        return left

    def advance(self, ms: int) -> None:
        """Let time pass, doing on the way what falls due."""
        until_ms = self.now_ms + ms
        while self.group.wake_ms <= until_ms:
            self.now_ms = max(self.now_ms, self.group.wake_ms)
            self._take(self.group.expire(self.now_ms))
        self.now_ms = until_ms

    def load(self, group: Group) -> None:
        """Go on with a group that was restored from the log."""
        self.group = group
        self._take(group.resume(self.now_ms))

    def finish_stores(self, failure: str | None = None) -> None:
        held, self.held = self.held, []
        for store in held:
            if failure is None:
                self._take(self.group.stored(store, self.now_ms))
            else:
                self._take(self.group.store_failed(store, failure, self.now_ms))

    def reply(self, ticket: int, kind: type[R]) -> R:
        """The reply to a request, which must have come and be of the given kind."""
        result = self.replies[ticket]
        assert isinstance(result, kind), result
        return result

    def stable(self, size: int, **changes: Any) -> list[str]:
        """Make the group stable with that many new dynamic members, the leader first."""
        members: list[str] = []
        for _ in range(size):
            newcomer, _ = self.enter(**changes)
            for known in members:
                self.join(known, **changes)
            members.append(newcomer)
        for member_id in members[1:]:
            self.sync(member_id)
        self.sync(members[0], {member_id: member_id.encode() for member_id in members})
        return members

    def _take(self, outcome: Outcome) -> None:
        for ticket, result in outcome.replies:
            assert isinstance(ticket, int)
            assert ticket not in self.replies, f"ticket {ticket} is answered twice"
            self.replies[ticket] = result
        for store in outcome.stores:
            self.stores.append(store)
            if self.holds:
                self.held.append(store)
            else:
                self._take(self.group.stored(store, self.now_ms))
