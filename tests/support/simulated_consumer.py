"""A consumer as real clients are: joins, assigns when it leads, syncs, sends heartbeats, retries.

It knows only what replies tell it. Requests go through ``Network``, which may lose the replies.
"""

from __future__ import annotations

from typing import Protocol

from tidelog.consumer_groups.classic.consumer_protocol import decode_assignment, encode_assignment
from tidelog.consumer_groups.classic.membership import (
    HeartbeatRequest,
    JoinReply,
    JoinRequest,
    LeavingMember,
    SyncReply,
    SyncRequest,
)
from tidelog.consumer_groups.errors import (
    FencedInstance,
    GroupError,
    GroupFull,
    IllegalGeneration,
    MemberIdRequired,
    UnknownMember,
)

SESSION_MS = 10_000
REBALANCE_MS = 30_000
HEARTBEAT_MS = 3_000
REQUEST_TIMEOUT_MS = REBALANCE_MS + 5_000
PARTITIONS = 24


class Network(Protocol):
    now_ms: int

    def join(self, consumer: SimulatedConsumer, request: JoinRequest) -> int: ...

    def sync(self, consumer: SimulatedConsumer, request: SyncRequest) -> int: ...

    def heartbeat(self, request: HeartbeatRequest) -> None: ...

    def leave(self, member: LeavingMember) -> None: ...


class SimulatedConsumer:
    def __init__(self, network: Network, instance_id: str | None) -> None:
        self.instance_id = instance_id
        self.member_id = ""
        self.generation = -1
        self.partitions: tuple[tuple[str, int], ...] = ()
        self.alive = True
        self.stalled_until_ms = 0
        self.ticket: int | None = None
        self.is_member = False
        """Has an assignment and has not been told otherwise."""
        self._network = network
        self._sent_ms = 0
        self._next_heartbeat_ms = 0

    def step(self) -> None:
        """Do what is due now."""
        now_ms = self._network.now_ms
        if not self.alive or now_ms < self.stalled_until_ms:
            return
        if self.ticket is not None:
            if now_ms - self._sent_ms > REQUEST_TIMEOUT_MS:
                self.ticket = None
            return
        if not self.is_member:
            self._join()
        elif now_ms >= self._next_heartbeat_ms:
            self._heartbeat()

    def hang_up(self) -> None:
        """The connection is gone, and with it whatever reply was to come."""
        self.ticket = None

    def leave(self) -> None:
        self.alive = False
        if self.member_id:
            self._network.leave(LeavingMember(self.member_id, self.instance_id))

    def receive(self, ticket: int, result: JoinReply | SyncReply | GroupError) -> None:
        if ticket != self.ticket or not self.alive:
            return
        self.ticket = None
        if isinstance(result, GroupError):
            self._fail(result)
        elif isinstance(result, JoinReply):
            self._joined(result)
        else:
            self.partitions = decode_assignment(result.assignment)
            self.is_member = True
            self._next_heartbeat_ms = self._network.now_ms + HEARTBEAT_MS

    def _join(self) -> None:
        request = JoinRequest(
            group="g",
            member_id=self.member_id,
            instance_id=self.instance_id,
            client_id="c",
            session_timeout_ms=SESSION_MS,
            rebalance_timeout_ms=REBALANCE_MS,
            protocols=(("range", b""),),
        )
        self._sent_ms = self._network.now_ms
        self.ticket = self._network.join(self, request)

    def _joined(self, reply: JoinReply) -> None:
        self.member_id, self.generation = reply.member_id, reply.generation
        assignments: dict[str, bytes] = {}
        if reply.leader == reply.member_id and not reply.skip_assignment:
            members = [member.member_id for member in reply.members]
            for index, member_id in enumerate(members):
                mine = range(index, PARTITIONS, len(members))
                assignments[member_id] = encode_assignment([("t", part) for part in mine])
        request = SyncRequest(
            group="g",
            generation=self.generation,
            member_id=self.member_id,
            instance_id=self.instance_id,
            assignments=assignments,
        )
        self._sent_ms = self._network.now_ms
        self.ticket = self._network.sync(self, request)

    def _heartbeat(self) -> None:
        self._next_heartbeat_ms = self._network.now_ms + HEARTBEAT_MS
        request = HeartbeatRequest(
            group="g",
            generation=self.generation,
            member_id=self.member_id,
            instance_id=self.instance_id,
        )
        try:
            self._network.heartbeat(request)
        except GroupError as error:
            self._fail(error)

    def _fail(self, error: GroupError) -> None:
        self.is_member = False
        if isinstance(error, MemberIdRequired):
            self.member_id = error.member_id
        elif isinstance(error, UnknownMember):
            self.member_id, self.generation = "", -1
        elif isinstance(error, IllegalGeneration):
            self.generation = -1
        elif isinstance(error, FencedInstance | GroupFull):
            self.alive = False
