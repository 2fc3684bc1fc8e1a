"""A classic group at work: its replies go to the futures that wait for them, which are its tickets,
and its metadata to the offsets topic.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, ClassVar

from tidelog.consumer_groups import descriptions
from tidelog.consumer_groups.any_group import CLASSIC
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
from tidelog.consumer_groups.consumer import migration
from tidelog.consumer_groups.consumer.consumer_group import ConsumerGroup
from tidelog.consumer_groups.consumer.heartbeat import JOIN_EPOCH, ConsumerHeartbeat
from tidelog.consumer_groups.errors import GroupError, UnknownMember
from tidelog.consumer_groups.groups import Groups
from tidelog.consumer_groups.records.group_records import (
    GroupMetadata,
    GroupRecord,
    StateRecord,
)
from tidelog.consumer_groups.records.offsets import GroupDescription, TopicPartition


class ServedClassic:
    """Also a group that has only offsets: it is a classic one without members."""

    kind: ClassVar[str] = CLASSIC
    records: ClassVar[frozenset[type[Any]]] = frozenset((GroupRecord,))
    consumer: ConsumerGroup | None = None
    gives_way = False

    def __init__(self, groups: Groups, name: str) -> None:
        self.facts = Group(name, groups.settings)
        self._groups = groups
        self._loaded: GroupMetadata | None = None

    # Shown

    def describe(self) -> GroupDescription:
        return descriptions.describe_classic(self.facts)

    def owners(self) -> dict[TopicPartition, str]:
        return {
            place: member.member_id
            for member in self.facts.members
            for place in descriptions.assigned(member, self.facts.protocol_type)
        }

    # Offsets

    def check_commit(
        self,
        member_id: str,
        generation: int,
        instance_id: str | None,
        places: Iterable[TopicPartition],
    ) -> None:
        self.facts.check_commit(member_id, generation, instance_id, self._groups.now_ms())

    def check_fetch(self, member_id: str, epoch: int) -> None:
        """Anybody may."""

    # Members

    async def join(self, request: JoinRequest, new_id: str) -> JoinReply:
        ticket: asyncio.Future[JoinReply] = asyncio.get_running_loop().create_future()
        self.carry_out(self.facts.join(request, ticket, new_id, self._groups.now_ms()))
        return await self._groups.wait(ticket)

    async def sync(self, request: SyncRequest) -> SyncReply:
        ticket: asyncio.Future[SyncReply] = asyncio.get_running_loop().create_future()
        self.carry_out(self.facts.sync(request, ticket))
        return await self._groups.wait(ticket)

    def heartbeat(self, request: HeartbeatRequest) -> None:
        self.facts.heartbeat(request, self._groups.now_ms())

    async def leave(self, members: Sequence[LeavingMember]) -> list[LeftMember]:
        left, outcome = self.facts.leave(members, self._groups.now_ms())
        self.carry_out(outcome)
        return left

    def to_beat(self, heartbeat: ConsumerHeartbeat) -> tuple[ConsumerGroup, Sequence[StateRecord]]:
        """The group gives way: an empty one is forgotten, others go on in the new protocol.

        A member that slept through a change back to classic has to join again; it would take
        Kafka's answer, that there is no such group, for the end.
        """
        name, settings = self.facts.name, self._groups.settings
        if heartbeat.member_epoch != JOIN_EPOCH:
            raise UnknownMember(name, heartbeat.member_id)
        group = ConsumerGroup(name, settings)
        before: list[StateRecord] = [*self.tombstones()]
        if not self.facts.is_empty:
            topics, wall_ms = self._groups.topics_now(), self._groups.wall_ms()
            for record in migration.upgraded(self.facts, topics, settings, wall_ms):
                group.apply(record)
                before.append(record)
        return group, before

    # Time and records

    def apply(self, record: GroupRecord) -> None:
        """Metadata of a live group only tells when it was stored."""
        assert record.value is not None, "its end is no record of a group"
        if self._groups.loading:
            self._loaded = record.value
        else:
            self.facts.state_timestamp_ms = record.value.state_timestamp_ms

    def resume(self) -> None:
        if self._loaded is not None:
            self.restore(self._loaded)
            self._loaded = None

    def restore(self, metadata: GroupMetadata, *, rejoin: bool = False) -> None:
        """Go on from what the log says."""
        self.facts = Group.restore(self.facts.name, metadata, self._groups.settings)
        self.carry_out(self.facts.resume(self._groups.now_ms(), rejoin=rejoin))

    def expire(self, now_ms: int) -> None:
        group = self.facts
        before = {member.member_id for member in group.members}
        outcome = group.expire(now_ms)
        for member_id in before - {member.member_id for member in group.members}:
            self._groups.news.given_up(group.name, member_id)
        self.carry_out(outcome)

    def end(self) -> None:
        _send(self.facts.give_way())

    def tombstones(self) -> Sequence[StateRecord]:
        return [GroupRecord(self.facts.name, None)]

    # What commands lead to

    def carry_out(self, outcome: Outcome) -> None:
        """Send replies, write metadata, see to the group's clock."""
        _send(outcome)
        group = self.facts
        self._groups.news.look_at_classic(group)
        for store in outcome.stores:
            metadata = store.metadata._replace(state_timestamp_ms=self._groups.wall_ms())
            done = self._groups.topic.write(group.name, [GroupRecord(group.name, metadata)])
            done.add_done_callback(partial(self._stored, store))
        if group.generation == 0 and group.is_disposable and not outcome.stores:
            self._groups.forget(group.name)
        else:
            self._groups.watch(group)

    def _stored(self, store: Store, done: asyncio.Future[None]) -> None:
        group, now_ms = self.facts, self._groups.now_ms()
        error = None if done.cancelled() else done.exception()
        if error is None:
            outcome = group.stored(store, now_ms)
        else:
            outcome = group.store_failed(store, str(error), now_ms)
        if group.state is State.DEAD:
            _send(outcome)
        else:
            self.carry_out(outcome)


def _send(outcome: Outcome) -> None:
    for ticket, result in outcome.replies:
        assert isinstance(ticket, asyncio.Future)
        if ticket.done():
            continue
        if isinstance(result, GroupError):
            ticket.set_exception(result)
        else:
            ticket.set_result(result)
