"""The classic membership protocol as a state machine: requests in, replies and records out.

``rebalance.py`` has the states and what leads from one to the next; here is what each request may
do in each of them. A request that cannot be answered yet leaves a ticket with its member, and a
later command hands that ticket back with the reply. Metadata in ``Outcome.stores`` has to be
appended in order, and ``stored`` or ``store_failed`` called for each when that is known.

Behaves as Apache Kafka 4.3 does: KIP-62 (rebalance timeout), KIP-345 (static members), KIP-394
(member id required), KIP-559 (protocol names in SyncGroup), KIP-814 (a static leader that comes
back skips assigning). Cooperative rebalancing (KIP-429) is between the members and needs nothing
here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tidelog.consumer_groups.classic.classic_member import NEVER_MS, Member, Ticket
from tidelog.consumer_groups.classic.membership import (
    CONSUMER_PROTOCOL_TYPE,
    UNKNOWN_MEMBER_ID,
    HeartbeatRequest,
    JoinRequest,
    LeavingMember,
    LeftMember,
    SyncReply,
    SyncRequest,
)
from tidelog.consumer_groups.classic.rebalance import Outcome, Rebalance, State, Store
from tidelog.consumer_groups.classic.roster import Roster
from tidelog.consumer_groups.errors import (
    CoordinatorUnavailable,
    FencedInstance,
    GroupError,
    GroupFull,
    IllegalGeneration,
    InconsistentProtocol,
    MemberIdRequired,
    RebalanceInProgress,
    UnknownMember,
)
from tidelog.consumer_groups.records.group_records import GroupMetadata
from tidelog.consumer_groups.settings import GroupSettings

NEW_MEMBER_JOIN_TIMEOUT_MS = 300_000
"""How long a new member's first join may wait before it is taken for gone."""


class Group:
    def __init__(self, name: str, settings: GroupSettings) -> None:
        self.name = name
        self.state_timestamp_ms = -1
        """Wall-clock time of the last stored change of state; offsets expire by it."""
        self._settings = settings
        self._rebalance = Rebalance(name, settings.initial_rebalance_delay_ms)

    @classmethod
    def restore(cls, name: str, metadata: GroupMetadata, settings: GroupSettings) -> Group:
        """The group as the log has it; ``resume`` starts its clocks."""
        group = cls(name, settings)
        group.state_timestamp_ms = metadata.state_timestamp_ms
        group._rebalance.restore(metadata)
        return group

    def resume(self, now_ms: int, *, rejoin: bool = False) -> Outcome:
        """All members of a loaded group get a session's time to be heard of, or to rejoin."""
        for member in self.members:
            self._rebalance.hear(member, now_ms)
        if rejoin or len(self.members) > self._settings.max_size:
            self._rebalance.prepare(now_ms)
        return self._rebalance.take()

    @property
    def state(self) -> State:
        return self._rebalance.state

    @property
    def state_name(self) -> str:
        return self.state.value

    @property
    def is_empty(self) -> bool:
        return self.state is State.EMPTY

    @property
    def generation(self) -> int:
        return self._rebalance.generation

    @property
    def protocol_type(self) -> str | None:
        return self._rebalance.protocol_type

    @property
    def protocol(self) -> str | None:
        return self._rebalance.protocol

    @property
    def members(self) -> Roster:
        return self._rebalance.members

    @property
    def wake_ms(self) -> int:
        """``expire`` has nothing to do before this time."""
        return self._rebalance.wake_ms

    @property
    def is_disposable(self) -> bool:
        """Nobody is in the group nor about to be."""
        return self.state is State.EMPTY and not self.members.pending

    @property
    def subscribed_topics(self) -> frozenset[str] | None:
        """What the members read, where they are consumers and say so."""
        return self._rebalance.subscribed_topics

    def is_subscribed_to(self, topic: str) -> bool:
        """Whether members read the topic; taken for granted where consumers do not say."""
        if self.subscribed_topics is None:
            return self.protocol_type == CONSUMER_PROTOCOL_TYPE and len(self.members) > 0
        return topic in self.subscribed_topics

    def retained_since_ms(self, topic: str, committed_ms: int) -> int | None:
        """When the retention of an offset began that was committed at ``committed_ms`` (KIP-211).

        None while it is in use. For consumers without membership it is the commit, for a group
        of members the moment the last one left, for a stable group of consumers the commit of a
        topic that nobody reads any more.
        """
        if self.protocol_type is None:
            return committed_ms
        if self.state is State.EMPTY:
            return self.state_timestamp_ms if self.state_timestamp_ms >= 0 else committed_ms
        if self.state is State.STABLE and not self.is_subscribed_to(topic):
            return committed_ms if self.protocol_type == CONSUMER_PROTOCOL_TYPE else None
        return None

    def metadata(self) -> GroupMetadata:
        """The group as the log would keep it now."""
        return self._rebalance.metadata()._replace(state_timestamp_ms=self.state_timestamp_ms)

    def join(self, request: JoinRequest, ticket: Ticket, new_id: str, now_ms: int) -> Outcome:
        """``new_id`` is the name of the member if it turns out to be a new one."""
        try:
            self._check_alive()
            self._make_room(request.member_id, now_ms)
            self._check_protocols(request)
            self._join(request, ticket, new_id, now_ms)
        except GroupError as error:
            self._rebalance.answer(ticket, error)
        return self._rebalance.take()

    def sync(self, request: SyncRequest, ticket: Ticket) -> Outcome:
        try:
            self._check_alive()
            self._sync(request, ticket)
        except GroupError as error:
            self._rebalance.answer(ticket, error)
        return self._rebalance.take()

    def heartbeat(self, request: HeartbeatRequest, now_ms: int) -> None:
        """Raises what the member has to know, RebalanceInProgress above all."""
        self._check_alive()
        member = self.members.check(request.member_id, request.instance_id)
        self._check_generation(request.generation)
        self._rebalance.hear(member, now_ms)
        if self.state is State.PREPARING:
            raise RebalanceInProgress(self.name)

    def leave(
        self, leaving: Iterable[LeavingMember], now_ms: int
    ) -> tuple[list[LeftMember], Outcome]:
        self._check_alive()
        left = [self._leave(one) for one in leaving]
        if any(one.error is None for one in left):
            self._rebalance.after_removal(now_ms)
        return left, self._rebalance.take()

    def check_commit(
        self, member_id: str, generation: int, instance_id: str | None, now_ms: int
    ) -> None:
        """Whether these may commit offsets now; raises what is in the way."""
        self._check_alive()
        if generation < 0 and self.state is State.EMPTY:
            return
        member = self.members.check(member_id, instance_id)
        self._check_generation(generation)
        if self.state is State.COMPLETING:
            raise RebalanceInProgress(self.name)
        self._rebalance.hear(member, now_ms)

    def give_way(self) -> Outcome:
        """The group is deleted or goes on in the new protocol: who waits here has to join again."""
        for member in self.members:
            self._rebalance.refuse(member, RebalanceInProgress(self.name))
        self._rebalance.state = State.DEAD
        self._rebalance.wake_ms = NEVER_MS
        return self._rebalance.take()

    def stored(self, store: Store, now_ms: int) -> Outcome:
        """The metadata is durable."""
        self._rebalance.stored(store, now_ms)
        return self._rebalance.take()

    def store_failed(self, store: Store, reason: str, now_ms: int) -> Outcome:
        self._rebalance.store_failed(store, reason, now_ms)
        return self._rebalance.take()

    def expire(self, now_ms: int) -> Outcome:
        """What is due at ``now_ms``: give up the silent, end phases that took too long."""
        self._rebalance.expire(now_ms)
        return self._rebalance.take()

    def _check_alive(self) -> None:
        if self.state is State.DEAD:
            raise CoordinatorUnavailable(f"group {self.name!r} is being deleted")

    def _check_generation(self, generation: int) -> None:
        if generation != self.generation:
            raise IllegalGeneration(self.name, generation, self.generation)

    # -- joining

    def _make_room(self, member_id: str, now_ms: int) -> None:
        """A full group takes no more; of those who rejoin, the last have to go."""
        limit = self._settings.max_size
        known = member_id in self.members
        if self.state is State.EMPTY:
            return
        if self.state is State.PREPARING:
            waits = known and self.members[member_id].joining is not None
            fits = waits or self.members.joining_count < limit
        else:
            fits = known or len(self.members) < limit
        if not fits:
            self.members.remove(member_id)
            self._rebalance.complete_if_all_joined(now_ms)
            raise GroupFull(self.name, limit)

    def _check_protocols(self, request: JoinRequest) -> None:
        names = [name for name, _ in request.protocols]
        if not request.protocol_type or not names:
            raise InconsistentProtocol(self.name, "a member needs a protocol type and a protocol")
        if self.state is State.EMPTY:
            return
        if request.protocol_type != self.protocol_type:
            raise InconsistentProtocol(
                self.name,
                f"protocol type is {self.protocol_type!r}, not {request.protocol_type!r}",
            )
        if not self.members.agrees_with(names):
            raise InconsistentProtocol(
                self.name, f"no protocol of {names} is spoken by all other members"
            )

    def _join(self, request: JoinRequest, ticket: Ticket, new_id: str, now_ms: int) -> None:
        if request.member_id in self.members.pending:
            if request.instance_id is not None:
                raise UnknownMember(self.name, request.member_id)
            self._enter(request, ticket, request.member_id, now_ms)
        elif request.member_id != UNKNOWN_MEMBER_ID:
            self._rejoin(request, ticket, now_ms)
        elif request.instance_id is not None:
            present = self.members.static_member(request.instance_id)
            if present is None:
                self._enter(request, ticket, new_id, now_ms)
            else:
                self._replace(present, request, ticket, new_id, now_ms)
        elif request.require_known_member_id:
            until_ms = self._rebalance.arm(now_ms + request.session_timeout_ms)
            self.members.pending[new_id] = until_ms
            raise MemberIdRequired(new_id)
        else:
            self._enter(request, ticket, new_id, now_ms)

    def _enter(self, request: JoinRequest, ticket: Ticket, member_id: str, now_ms: int) -> None:
        """A new member. Before its first reply it cannot send heartbeats, so it gets more time."""
        if not len(self.members):
            self._rebalance.protocol_type = request.protocol_type
        member = Member.joined(member_id, request)
        member.joining = ticket
        self._rebalance.enter(member)
        self._rebalance.hear(member, now_ms, NEW_MEMBER_JOIN_TIMEOUT_MS)
        self._rebalance.advance(now_ms)

    def _rejoin(self, request: JoinRequest, ticket: Ticket, now_ms: int) -> None:
        member = self.members.check(request.member_id, request.instance_id)
        leads = member.member_id == self.members.leader
        settled = self.state is State.COMPLETING or (self.state is State.STABLE and not leads)
        if settled and member.protocols == request.protocols:
            # It may have missed the reply to its last join.
            self._rebalance.answer(ticket, self._rebalance.join_reply(member))
        else:
            self._update(member, request, ticket)
            self._rebalance.advance(now_ms)

    def _replace(
        self, member: Member, request: JoinRequest, ticket: Ticket, new_id: str, now_ms: int
    ) -> None:
        """A static member is back without its id, perhaps as a new process: the old is fenced."""
        old_leader = self.members.leader
        self._rebalance.refuse(member, FencedInstance(self.name, member.instance_id or ""))
        self.members.rename(member, new_id)
        self._update(member, request, ticket)
        self._rebalance.hear(member, now_ms)
        if self.state is State.STABLE and self.members.select_protocol() == self.protocol:
            # The assignment stays; only the new id has to be remembered.
            reply = self._rebalance.join_reply(member)
            if request.supports_skipping_assignment:
                reply = replace(reply, skip_assignment=new_id == self.members.leader)
            else:
                reply = replace(reply, leader=old_leader or "", members=())
            self.members.set_joining(member, None)
            self._rebalance.store(replies=[(ticket, reply)])
        elif self.state in (State.STABLE, State.COMPLETING):
            self._rebalance.prepare(now_ms)
        else:
            self._rebalance.complete_if_all_joined(now_ms)

    def _update(self, member: Member, request: JoinRequest, ticket: Ticket) -> None:
        """What the member says now counts; whoever waited under its name is let go."""
        self._rebalance.refuse(member, CoordinatorUnavailable("the member joined again"))
        self.members.set_protocols(member, request.protocols)
        member.rebalance_timeout_ms = request.rebalance_timeout_ms
        member.session_timeout_ms = request.session_timeout_ms
        self.members.set_joining(member, ticket)

    # -- syncing and leaving

    def _sync(self, request: SyncRequest, ticket: Ticket) -> None:
        member = self.members.check(request.member_id, request.instance_id)
        self._check_generation(request.generation)
        for name, ours in (
            (request.protocol_type, self.protocol_type),
            (request.protocol, self.protocol),
        ):
            if name is not None and ours is not None and name != ours:
                raise InconsistentProtocol(self.name, f"protocol is {ours!r}, not {name!r}")
        if self.state is State.PREPARING:
            raise RebalanceInProgress(self.name)
        self._rebalance.synced(member)
        if self.state is State.STABLE:
            reply = SyncReply(self.protocol_type, self.protocol, member.assignment)
            self._rebalance.answer(ticket, reply)
            return
        if member.syncing is not None:
            self._rebalance.answer(member.syncing, CoordinatorUnavailable("the member asked again"))
        member.syncing = ticket
        if member.member_id == self.members.leader:
            self._rebalance.offer(request.assignments)

    def _leave(self, leaving: LeavingMember) -> LeftMember:
        member_id, instance_id = leaving.member_id, leaving.instance_id
        if member_id in self.members.pending:
            self.members.remove(member_id)
            return LeftMember(member_id, instance_id)
        try:
            if member_id == UNKNOWN_MEMBER_ID and instance_id is not None:
                member = self.members.static_member(instance_id)
                if member is None:
                    raise UnknownMember(self.name, member_id)
            else:
                member = self.members.check(member_id, instance_id)
        except GroupError as error:
            return LeftMember(member_id, instance_id, error)
        self._rebalance.remove(member)
        return LeftMember(member_id, instance_id)
