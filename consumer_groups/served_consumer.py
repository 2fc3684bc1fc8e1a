"""A group of the new protocol at work (KIP-848): what its members say becomes records, and the
group changes by these alone. A member is answered when they are durable.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from tidelog.consumer_groups import descriptions
from tidelog.consumer_groups.any_group import CONSUMER
from tidelog.consumer_groups.classic.membership import (
    HeartbeatRequest,
    JoinReply,
    JoinRequest,
    LeavingMember,
    LeftMember,
    SyncReply,
    SyncRequest,
)
from tidelog.consumer_groups.consumer import classic_requests as classic_member
from tidelog.consumer_groups.consumer import consumer_rebalance, migration
from tidelog.consumer_groups.consumer.consumer_group import ConsumerGroup, TopicsNow
from tidelog.consumer_groups.consumer.heartbeat import ConsumerHeartbeat, ConsumerHeartbeatReply
from tidelog.consumer_groups.errors import CoordinatorUnavailable, InconsistentProtocol
from tidelog.consumer_groups.groups import Groups
from tidelog.consumer_groups.records.consumer_group_records import (
    ConsumerGroupRecord,
    CurrentRecord,
    GroupEpochRecord,
    RegexRecord,
    SubscriptionRecord,
    TargetEpochRecord,
    TargetRecord,
)
from tidelog.consumer_groups.records.group_records import GroupRecord, StateRecord
from tidelog.consumer_groups.records.offsets import GroupDescription, TopicPartition
from tidelog.consumer_groups.served_classic import ServedClassic

_RETRY_MS = 1_000
_log = logging.getLogger("tidelog.groups")


class ServedConsumer:
    kind: ClassVar[str] = CONSUMER
    records: ClassVar[frozenset[type[Any]]] = frozenset(
        (
            CurrentRecord,
            GroupEpochRecord,
            RegexRecord,
            SubscriptionRecord,
            TargetEpochRecord,
            TargetRecord,
        )
    )

    def __init__(self, groups: Groups, name: str) -> None:
        self.facts = ConsumerGroup(name, groups.own_settings.obeyed_by(name))
        self._groups = groups

    @property
    def consumer(self) -> ConsumerGroup:
        return self.facts

    # Shown

    def describe(self) -> GroupDescription:
        return descriptions.describe_new(self.facts, self._groups.broker)

    def owners(self) -> dict[TopicPartition, str]:
        return {
            (place.topic, place.partition): member.member_id
            for member in self.facts.members.values()
            for place in descriptions.named(member.current.assigned, self._groups.broker)
        }

    # Offsets

    def check_commit(
        self,
        member_id: str,
        generation: int,
        instance_id: str | None,
        places: Iterable[TopicPartition],
    ) -> None:
        topics = self._groups.topics_now().by_name
        held = ((topics[topic].id, part) for topic, part in places if topic in topics)
        self.facts.check_commit(member_id, generation, held)

    def check_fetch(self, member_id: str, epoch: int) -> None:
        self.facts.check_fetch(member_id, epoch)

    # Members

    @property
    def gives_way(self) -> bool:
        return self.facts.is_empty

    async def join(self, request: JoinRequest, new_id: str) -> JoinReply:
        group = self.facts
        if not self._groups.settings.may_mix:
            raise InconsistentProtocol(group.name, "it takes no classic members")
        heartbeat = classic_member.heartbeat_of(group, request, new_id, self._groups.topics_now())
        return classic_member.join_reply(request, await beat(self._groups, group, heartbeat))

    async def sync(self, request: SyncRequest) -> SyncReply:
        topics, now_ms = self._groups.topics_now(), self._groups.now_ms()
        return classic_member.sync(self.facts, request, topics, now_ms)

    def heartbeat(self, request: HeartbeatRequest) -> None:
        classic_member.beat(self.facts, request, self._groups.now_ms())
        self._groups.watch(self.facts)

    async def leave(self, members: Sequence[LeavingMember]) -> list[LeftMember]:
        topics = self._groups.topics_now()
        left, gone = classic_member.leave(self.facts, members)
        records = consumer_rebalance.forget(self.facts, gone, topics)
        done = _change(self._groups, self.facts.name, records, topics)
        if done is not None:
            await done
        return left

    def to_beat(self, heartbeat: ConsumerHeartbeat) -> tuple[ConsumerGroup, Sequence[StateRecord]]:
        return self.facts, ()

    # Time and records

    def apply(self, record: ConsumerGroupRecord) -> None:
        had_members = not self.facts.is_empty
        self.facts.apply(record)
        if had_members and self.facts.is_empty:
            self.facts.empty_since_ms = self._groups.wall_ms()

    def resume(self) -> None:
        self.facts.resume(self._groups.now_ms(), self._groups.wall_ms())
        self._groups.watch(self.facts)
        _downgrade(self._groups, self.facts, self._groups.topics_now())

    def expire(self, now_ms: int) -> None:
        group, topics = self.facts, self._groups.topics_now()
        overdue = group.overdue(now_ms)
        records = consumer_rebalance.forget(group, overdue, topics)
        for member_id in overdue:
            self._groups.news.given_up(group.name, member_id)
        try:
            done = _change(self._groups, group.name, records, topics)
        except CoordinatorUnavailable as error:
            _log.warning("members of group %s cannot be given up: %s", group.name, error)
            group.wake_ms = now_ms + _RETRY_MS
        else:
            if done is not None:
                done.add_done_callback(lambda done: done.cancelled() or done.exception())
        present = self._groups.find(group.name)
        if present is not None:
            self._groups.watch(present.facts)

    def end(self) -> None:
        """Nobody waits: members hear of it at their next heartbeat."""

    def tombstones(self) -> Sequence[StateRecord]:
        return self.facts.tombstones()


async def beat(
    groups: Groups,
    group: ConsumerGroup,
    heartbeat: ConsumerHeartbeat,
    before: Sequence[StateRecord] = (),
) -> ConsumerHeartbeatReply:
    """``before`` is what has to be written with the heartbeat's own records."""
    topics, wall_ms = groups.topics_now(), groups.wall_ms()
    settings = groups.own_settings.obeyed_by(group.name)
    group.use_settings(settings)
    decision = consumer_rebalance.beat(group, heartbeat, topics, settings, wall_ms)
    done = _change(groups, group.name, [*before, *decision.records], topics)
    changed = groups.consumer(group.name)
    if changed is not None:
        _hear(groups, changed, heartbeat, all_members=bool(before))
    if done is not None:
        await done
    return decision.reply


def _hear(
    groups: Groups, group: ConsumerGroup, heartbeat: ConsumerHeartbeat, *, all_members: bool
) -> None:
    now_ms = groups.now_ms()
    if all_members:
        group.resume(now_ms, groups.wall_ms())
    group.hear(heartbeat.member_id, now_ms)
    if heartbeat.classic is not None:
        classic_member.joined(group, heartbeat.member_id, now_ms)
    groups.watch(group)


def _change(
    groups: Groups, name: str, records: Sequence[StateRecord], topics: TopicsNow
) -> asyncio.Future[None] | None:
    """Apply the records of a group; done when they are durable, None where there are none.

    It becomes a classic one if these leave it with classic members only. Raises
    CoordinatorUnavailable.
    """
    done = groups.topic.write_now(name, records) if records else None
    group = groups.consumer(name)
    if group is not None:
        group.topics_version = topics.version
        if records:
            done = _downgrade(groups, group, topics) or done
    if records:
        group = groups.consumer(name)
        groups.watches.tell(name, group)
        if group is not None:
            groups.news.look_at_consumer(group)
    return done


def _downgrade(
    groups: Groups, group: ConsumerGroup, topics: TopicsNow
) -> asyncio.Future[None] | None:
    """Go on in the classic protocol, if it is time to; done when that is durable."""
    name = group.name
    metadata = migration.downgraded(group, topics, groups.settings, groups.wall_ms())
    if metadata is None:
        return None
    done = groups.topic.write_now(name, [*group.tombstones(), GroupRecord(name, metadata)])
    classic = ServedClassic(groups, name)
    groups.add(classic)
    classic.restore(metadata, rejoin=True)
    return done
