"""How a classic group goes from one generation to the next: phases, deadlines and what is answered.

    Empty               no members; a group of offsets alone is always here
    PreparingRebalance  members are asked to join (again); replies wait until all have
    CompletingRebalance all know the new generation; the leader's assignment is awaited
    Stable              the assignment is stored and handed out
    Dead                deleted; nothing is answered any more

``group.py`` turns requests into calls of this file. Nothing here waits or reads a clock: times are
milliseconds of one steady clock, ``wake_ms`` is when ``expire`` has to be called at the latest, and
replies and metadata to append gather in an ``Outcome`` that the caller takes.

Only what leads to Stable or Empty is stored. The assignment that a leader brings is handed out when
it is durable, so no member ever acts on one that a restart would forget.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from tidelog.consumer_groups.classic.classic_member import NEVER_MS, Member, Ticket
from tidelog.consumer_groups.classic.consumer_protocol import topics_of
from tidelog.consumer_groups.classic.membership import (
    CONSUMER_PROTOCOL_TYPE,
    JoinedMember,
    JoinReply,
    SyncReply,
)
from tidelog.consumer_groups.classic.roster import Roster
from tidelog.consumer_groups.errors import (
    CoordinatorUnavailable,
    GroupError,
    RebalanceInProgress,
    UnknownMember,
)
from tidelog.consumer_groups.records.group_records import GroupMetadata


class State(StrEnum):
    EMPTY = "Empty"
    PREPARING = "PreparingRebalance"
    COMPLETING = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


Result = JoinReply | SyncReply | GroupError
Reply = tuple[Ticket, Result]


@dataclass(slots=True)
class Store:
    """Metadata to append; the replies go out once it is durable."""

    metadata: GroupMetadata
    generation: int
    replies: list[Reply] = field(default_factory=list)


@dataclass(slots=True)
class Outcome:
    """What a command leads to: replies to send now and metadata to append, in this order."""

    replies: list[Reply] = field(default_factory=list)
    stores: list[Store] = field(default_factory=list)


class Rebalance:
    def __init__(self, group: str, initial_delay_ms: int) -> None:
        self.group = group
        self.state = State.EMPTY
        self.generation = 0
        self.protocol_type: str | None = None
        self.protocol: str | None = None
        self.members = Roster(group)
        self.subscribed_topics: frozenset[str] | None = None
        self.wake_ms = NEVER_MS
        self._initial_delay_ms = initial_delay_ms
        self._initial_left_ms = -1
        """In a group that was empty: how much longer new members may delay the first generation."""
        self._newcomers = False
        self._join_deadline_ms = NEVER_MS
        self._sync_deadline_ms = NEVER_MS
        self._offered: dict[str, bytes] = {}
        self._out = Outcome()

    def restore(self, metadata: GroupMetadata) -> None:
        """Become what the log says: stable with members, empty without."""
        self.generation = metadata.generation
        self.protocol_type = metadata.protocol_type or None
        if metadata.members:
            self.protocol = metadata.protocol
            for stored in metadata.members:
                self.members.add(Member.restored(stored, metadata.protocol or ""))
            if metadata.leader is not None and metadata.leader in self.members:
                self.members.leader = metadata.leader
            self.state = State.STABLE
        self._note_topics()

    def take(self) -> Outcome:
        out, self._out = self._out, Outcome()
        return out

    def answer(self, ticket: Ticket, result: Result) -> None:
        self._out.replies.append((ticket, result))

    # -- members

    def hear(self, member: Member, now_ms: int, timeout_ms: int | None = None) -> None:
        """The member is alive and has its session timeout (or that given) from now."""
        member.deadline_ms = self.arm(now_ms + (timeout_ms or member.session_timeout_ms))

    def arm(self, deadline_ms: int) -> int:
        self.wake_ms = min(self.wake_ms, deadline_ms)
        return deadline_ms

    def enter(self, member: Member) -> None:
        if self.state is State.PREPARING and self._initial_left_ms >= 0:
            self._newcomers = True
        self.members.add(member)

    def remove(self, member: Member) -> None:
        """Whatever the member waits for ends; it may come back as a new one."""
        self.refuse(member, UnknownMember(self.group, member.member_id))
        self.members.remove(member.member_id)

    def refuse(self, member: Member, error: GroupError) -> None:
        if member.joining is not None:
            self.answer(member.joining, error)
            self.members.set_joining(member, None)
        if member.syncing is not None:
            self.answer(member.syncing, error)
            member.syncing = None

    def after_removal(self, now_ms: int) -> None:
        if self.state in (State.STABLE, State.COMPLETING):
            self.prepare(now_ms)
        else:
            self.complete_if_all_joined(now_ms)

    # -- to the next generation

    def advance(self, now_ms: int) -> None:
        """Somebody joined: begin to rebalance, or go on with it."""
        if self.state is State.PREPARING:
            self.complete_if_all_joined(now_ms)
        else:
            self.prepare(now_ms)

    def prepare(self, now_ms: int) -> None:
        """Have everybody join again."""
        if self.state is State.COMPLETING:
            self._cancel_syncs(RebalanceInProgress(self.group), now_ms)
        self.members.unsynced.clear()
        self._sync_deadline_ms = NEVER_MS
        initial = self.state is State.EMPTY
        self.state = State.PREPARING
        timeout_ms = self.members.rebalance_timeout_ms()
        if initial and self._initial_delay_ms > 0:
            self._initial_left_ms = max(timeout_ms - self._initial_delay_ms, 0)
            self._newcomers = False
            self._join_deadline_ms = self.arm(now_ms + self._initial_delay_ms)
        else:
            self._join_deadline_ms = self.arm(now_ms + timeout_ms)
            self.complete_if_all_joined(now_ms)

    def complete_if_all_joined(self, now_ms: int) -> None:
        waits_for_newcomers = self._initial_left_ms >= 0
        if self.state is State.PREPARING and not waits_for_newcomers and self.members.all_joined:
            self._complete_join(now_ms)

    def _complete_join(self, now_ms: int) -> None:
        """Who has not joined is out, except static members; the others get the next generation."""
        self._join_deadline_ms = NEVER_MS
        self._initial_left_ms = -1
        for member in [m for m in self.members if m.joining is None and m.instance_id is None]:
            self.members.remove(member.member_id)
        if len(self.members) and not self.members.elect():
            self._join_deadline_ms = self.arm(now_ms + self.members.rebalance_timeout_ms())
            return
        self.generation += 1
        self.members.unsynced.clear()
        if not len(self.members):
            self.state, self.protocol = State.EMPTY, None
            self._note_topics()
            self.store()
            return
        self.state, self.protocol = State.COMPLETING, self.members.select_protocol()
        self._note_topics()
        for member in self.members:
            if member.joining is not None:
                self.answer(member.joining, self.join_reply(member))
                self.members.set_joining(member, None)
            self.hear(member, now_ms)
            member.is_new = False
            self.members.unsynced.add(member.member_id)
        self._sync_deadline_ms = self.arm(now_ms + self.members.rebalance_timeout_ms())

    def join_reply(self, member: Member) -> JoinReply:
        """The present generation, as a joining member is told of it."""
        listed: Iterable[Member] = self.members if member.member_id == self.members.leader else ()
        return JoinReply(
            self.generation,
            self.protocol_type,
            self.protocol,
            self.members.leader or "",
            member.member_id,
            tuple(
                JoinedMember(one.member_id, one.instance_id, one.metadata(self.protocol))
                for one in listed
            ),
        )

    def _note_topics(self) -> None:
        """Consumers say in their metadata what they read; others do not."""
        if self.protocol_type != CONSUMER_PROTOCOL_TYPE:
            self.subscribed_topics = None
        else:
            self.subscribed_topics = topics_of(m.metadata(self.protocol) for m in self.members)

    # -- assignments

    def synced(self, member: Member) -> None:
        self.members.unsynced.discard(member.member_id)
        if not self.members.unsynced:
            self._sync_deadline_ms = NEVER_MS

    def offer(self, assignments: dict[str, bytes]) -> None:
        """The leader has assigned; who is not mentioned gets nothing."""
        self._offered = {m.member_id: assignments.get(m.member_id, b"") for m in self.members}
        self.store(self._offered)

    def store(
        self, assignments: dict[str, bytes] | None = None, replies: Iterable[Reply] = ()
    ) -> None:
        store = Store(self.metadata(assignments), self.generation, list(replies))
        self._out.stores.append(store)

    def metadata(self, assignments: dict[str, bytes] | None = None) -> GroupMetadata:
        """The group as the log is to keep it; the writer puts in the time."""
        members = tuple(
            member.stored(
                self.protocol,
                member.assignment if assignments is None else assignments[member.member_id],
            )
            for member in self.members
        )
        return GroupMetadata(
            self.protocol_type or "",
            self.generation,
            self.protocol,
            self.members.leader,
            -1,
            members,
        )

    def stored(self, store: Store, now_ms: int) -> None:
        """The metadata is durable: what waited for it goes on."""
        self._out.replies += store.replies
        if self.state is State.COMPLETING and store.generation == self.generation:
            self.state = State.STABLE
            for member in self.members:
                member.assignment = self._offered.get(member.member_id, b"")
                reply = SyncReply(self.protocol_type, self.protocol, member.assignment)
                self._answer_sync(member, reply, now_ms)
            self._offered = {}

    def store_failed(self, store: Store, reason: str, now_ms: int) -> None:
        error = CoordinatorUnavailable(reason)
        self._out.replies += [(ticket, error) for ticket, _ in store.replies]
        if self.state is State.COMPLETING and store.generation == self.generation:
            self._cancel_syncs(error, now_ms)
            self.prepare(now_ms)

    def _cancel_syncs(self, error: GroupError, now_ms: int) -> None:
        self._offered = {}
        for member in self.members:
            member.assignment = b""
            self._answer_sync(member, error, now_ms)

    def _answer_sync(self, member: Member, result: Result, now_ms: int) -> None:
        if member.syncing is not None:
            self.answer(member.syncing, result)
            member.syncing = None
            self.hear(member, now_ms)

    # -- time

    def expire(self, now_ms: int) -> None:
        """Do what is due: give up the silent, end phases that took too long."""
        if now_ms < self.wake_ms:
            return
        if self._give_up_silent(now_ms):
            self.after_removal(now_ms)
        if self._join_deadline_ms <= now_ms:
            self._join_is_due(now_ms)
        if self._sync_deadline_ms <= now_ms:
            self._sync_is_due(now_ms)
        self.wake_ms = min(
            self._join_deadline_ms,
            self._sync_deadline_ms,
            min(self.members.pending.values(), default=NEVER_MS),
            min((member.deadline_ms for member in self.members), default=NEVER_MS),
        )

    def _give_up_silent(self, now_ms: int) -> bool:
        pending = [name for name, until_ms in self.members.pending.items() if until_ms <= now_ms]
        for name in pending:
            self.members.remove(name)
        removed = False
        for member in [member for member in self.members if member.deadline_ms <= now_ms]:
            if member.is_waiting and not member.is_new:
                self.hear(member, now_ms)
            else:
                self.remove(member)
                removed = True
        if pending and not removed:
            self.complete_if_all_joined(now_ms)
        return removed

    def _join_is_due(self, now_ms: int) -> None:
        self._join_deadline_ms = NEVER_MS
        if self._newcomers and self._initial_left_ms > 0:
            self._newcomers = False
            delay_ms = min(self._initial_delay_ms, self._initial_left_ms)
            self._initial_left_ms -= delay_ms
            self._join_deadline_ms = self.arm(now_ms + delay_ms)
        else:
            self._complete_join(now_ms)

    def _sync_is_due(self, now_ms: int) -> None:
        self._sync_deadline_ms = NEVER_MS
        if self.state in (State.COMPLETING, State.STABLE) and self.members.unsynced:
            for member_id in list(self.members.unsynced):
                self.remove(self.members[member_id])
            self.prepare(now_ms)
