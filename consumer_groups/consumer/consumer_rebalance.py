"""What a heartbeat of the new protocol leads to: records to append and the reply (KIP-848).

1. The member is added or changed; if subscriptions or the partitions of subscribed topics
   changed, the group's epoch is raised.
2. If the group's epoch is ahead of the target's, a new target is computed for all members.
3. The member takes a step from what it has to its target.

Nothing is changed here: the group changes when the records are applied to it. Behaves as Apache
Kafka 4.3 with ``group.consumer.assignment.interval.ms=0``, and resolves regular expressions at
once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from uuid import UUID

from tidelog.consumer_groups.consumer.assignment import SERVER_ASSIGNORS
from tidelog.consumer_groups.consumer.consumer_group import (
    NO_ASSIGNMENT,
    ConsumerGroup,
    ConsumerMember,
    TopicsNow,
    forget_member,
    preferred_assignor,
)
from tidelog.consumer_groups.consumer.heartbeat import (
    JOIN_EPOCH,
    LEAVE_EPOCH,
    LEAVE_STATIC_EPOCH,
    ConsumerHeartbeat,
    ConsumerHeartbeatReply,
)
from tidelog.consumer_groups.consumer.reconciliation import Surroundings, Target, reconcile
from tidelog.consumer_groups.consumer.topic_regex import matching
from tidelog.consumer_groups.errors import (
    FencedMemberEpoch,
    GroupFull,
    UnreleasedInstance,
)
from tidelog.consumer_groups.records.consumer_group_records import (
    ConsumerGroupRecord,
    CurrentAssignment,
    CurrentRecord,
    GroupEpoch,
    GroupEpochRecord,
    MemberSubscription,
    RegexRecord,
    ResolvedRegex,
    SubscriptionRecord,
    TargetEpoch,
    TargetEpochRecord,
    TargetRecord,
    TopicIdPartition,
)
from tidelog.consumer_groups.settings import GroupSettings

_FIRST_EPOCH = 2
"""Kafka's groups are at 2 once their first member has joined."""


class Decision(NamedTuple):
    records: Sequence[ConsumerGroupRecord]
    reply: ConsumerHeartbeatReply


def beat(
    group: ConsumerGroup,
    heartbeat: ConsumerHeartbeat,
    topics: TopicsNow,
    settings: GroupSettings,
    wall_ms: int,
) -> Decision:
    """The heartbeat has been checked for itself.

    Raises UnknownMember, FencedMemberEpoch, FencedInstance, UnreleasedInstance, GroupFull,
    InvalidRegularExpression.
    """
    if heartbeat.member_epoch in (LEAVE_EPOCH, LEAVE_STATIC_EPOCH):
        return _leave(group, heartbeat, topics)
    return _Beat(group, heartbeat, topics, settings, wall_ms).decide()


def forget(
    group: ConsumerGroup, member_ids: Iterable[str], topics: TopicsNow
) -> list[ConsumerGroupRecord]:
    """The records that take members out of the group."""
    gone = set(member_ids) & group.members.keys()
    records: list[ConsumerGroupRecord] = []
    for member_id in sorted(gone):
        records += forget_member(group.name, member_id)
    if not records:
        return []
    left = [one.subscription for name, one in group.members.items() if name not in gone]
    used = {subscription.topic_regex for subscription in left}
    records += [RegexRecord(group.name, regex, None) for regex in group.regexes.keys() - used]
    names = frozenset[str]().union(*map(group.topics_read, left))
    epoch = GroupEpoch(group.epoch.epoch + 1, metadata_hash(names, topics))
    return [*records, GroupEpochRecord(group.name, epoch)]


def _leave(group: ConsumerGroup, heartbeat: ConsumerHeartbeat, topics: TopicsNow) -> Decision:
    member = group.check_member(heartbeat.member_id, heartbeat.instance_id)
    reply = ConsumerHeartbeatReply(member.member_id, heartbeat.member_epoch, 0)
    if heartbeat.member_epoch == LEAVE_EPOCH:
        return Decision(forget(group, [member.member_id], topics), reply)
    away = member.current._replace(member_epoch=LEAVE_STATIC_EPOCH, revoking={})
    return Decision([CurrentRecord(group.name, member.member_id, away)], reply)


def metadata_hash(names: Iterable[str], topics: TopicsNow) -> int:
    """Of the ids and partition counts of topics that exist; 0 for none."""
    digest = hashlib.blake2b(digest_size=8)
    known = sorted(name for name in names if name in topics.by_name)
    for name in known:
        info = topics.by_name[name]
        digest.update(info.id.bytes + info.partitions.to_bytes(4, "big"))
    return int.from_bytes(digest.digest(), "big", signed=True) if known else 0


@dataclass(slots=True)
class _Draft:
    """The group as it will be when the records so far are applied."""

    epoch: GroupEpoch
    regexes: dict[str, ResolvedRegex]
    subscriptions: dict[str, MemberSubscription]

    def topics_read(self, subscription: MemberSubscription) -> frozenset[str]:
        names = frozenset(subscription.topic_names)
        resolved = self.regexes.get(subscription.topic_regex or "")
        return names if resolved is None else names.union(resolved.topics)

    def names(self) -> frozenset[str]:
        return frozenset[str]().union(*map(self.topics_read, self.subscriptions.values()))


class _Beat:
    """One heartbeat of a member that is, or becomes, part of the group."""

    def __init__(
        self,
        group: ConsumerGroup,
        heartbeat: ConsumerHeartbeat,
        topics: TopicsNow,
        settings: GroupSettings,
        wall_ms: int,
    ) -> None:
        self._group = group
        self._heartbeat = heartbeat
        self._topics = topics
        self._settings = settings
        self._wall_ms = wall_ms
        self._records: list[ConsumerGroupRecord] = []
        self._replaced: str | None = None

    def decide(self) -> Decision:
        heartbeat, group = self._heartbeat, self._group
        member = self._find()
        subscription = self._subscription(member)
        changed = self._draft(member, subscription)
        target = self._target(member, subscription)
        current = self._step(member, subscription, target, changed)
        if current != member.current or member.member_id not in group.members:
            self._records.append(CurrentRecord(group.name, member.member_id, current))
        tells = heartbeat.member_epoch == JOIN_EPOCH or heartbeat.is_full
        tells = tells or current.assigned != member.current.assigned
        reply = ConsumerHeartbeatReply(
            member.member_id,
            current.member_epoch,
            self._settings.consumer_heartbeat_interval_ms,
            tuple(sorted(current.assigned)) if tells else None,
        )
        return Decision(self._records, reply)

    # The member

    def _find(self) -> ConsumerMember:
        heartbeat, group = self._heartbeat, self._group
        limit = self._settings.consumer_max_size
        if heartbeat.member_id not in group.members and len(group.members) >= limit:
            raise GroupFull(group.name, limit)
        if heartbeat.member_epoch != JOIN_EPOCH:
            member = group.check_member(heartbeat.member_id, heartbeat.instance_id)
            self._check_epoch(member.current)
            return member
        if heartbeat.instance_id is not None:
            present = group.static_member(heartbeat.instance_id)
            if present is not None:
                return self._replace(present)
        member_id = heartbeat.member_id
        new = ConsumerMember(
            member_id,
            MemberSubscription(None, None, "", "", (), None, heartbeat.rebalance_timeout_ms, None),
            NO_ASSIGNMENT,
        )
        return group.members.get(member_id, new)

    def _check_epoch(self, current: CurrentAssignment) -> None:
        """The previous epoch will do if the reply with the new one can have been lost."""
        heartbeat = self._heartbeat
        if heartbeat.member_epoch == current.member_epoch:
            return
        owned = heartbeat.owned
        missed_reply = current.previous_epoch == heartbeat.member_epoch < current.member_epoch
        if not missed_reply or owned is None or not set(owned) <= current.assigned.keys():
            raise FencedMemberEpoch(
                self._group.name,
                heartbeat.member_id,
                heartbeat.member_epoch,
                current.member_epoch,
            )

    def _replace(self, present: ConsumerMember) -> ConsumerMember:
        """A static member comes back and takes over what was kept for it.

        A classic one does not say goodbye: it takes the place of its predecessor at any time.
        """
        heartbeat, name = self._heartbeat, self._group.name
        released = present.current.member_epoch == LEAVE_STATIC_EPOCH
        if not released and heartbeat.classic is None:
            raise UnreleasedInstance(name, heartbeat.instance_id or "", present.member_id)
        current = present.current._replace(member_epoch=JOIN_EPOCH, previous_epoch=JOIN_EPOCH)
        new = replace(present, member_id=heartbeat.member_id, current=current)
        if new.member_id != present.member_id:
            self._replaced = present.member_id
            self._records += forget_member(name, present.member_id)
            self._records.append(SubscriptionRecord(name, new.member_id, new.subscription))
            if present.member_id in self._group.targets:
                target = self._group.targets[present.member_id]
                self._records.append(TargetRecord(name, new.member_id, target))
            self._records.append(CurrentRecord(name, new.member_id, current))
        return new

    def _subscription(self, member: ConsumerMember) -> MemberSubscription:
        heartbeat, old = self._heartbeat, member.subscription
        names = heartbeat.topic_names
        timeout_ms = heartbeat.rebalance_timeout_ms
        return MemberSubscription(
            heartbeat.instance_id or old.instance_id,
            heartbeat.rack_id or old.rack_id,
            heartbeat.client_id,
            heartbeat.client_host,
            old.topic_names if names is None else tuple(sorted(set(names))),
            old.topic_regex if heartbeat.topic_regex is None else heartbeat.topic_regex or None,
            old.rebalance_timeout_ms if timeout_ms == -1 else timeout_ms,
            heartbeat.assignor or old.assignor,
            heartbeat.classic,
        )

    # The group

    def _draft(self, member: ConsumerMember, subscription: MemberSubscription) -> bool:
        """Raise the group's epoch if need be; whether what the member reads has changed."""
        group = self._group
        subscriptions = {
            name: one.subscription for name, one in group.members.items() if name != self._replaced
        }
        self._now = _Draft(group.epoch, dict(group.regexes), subscriptions)
        before = self._now.topics_read(member.subscription)
        is_new = member.member_id not in group.members and self._replaced is None
        if is_new or subscription != member.subscription:
            record = SubscriptionRecord(group.name, member.member_id, subscription)
            self._records.append(record)
        subscriptions[member.member_id] = subscription
        fresh = self._topics.version != group.topics_version
        if fresh or subscription.topic_regex != member.subscription.topic_regex:
            self._resolve()
        changed = self._now.topics_read(subscription) != before
        if fresh or changed or is_new:
            self._raise_epoch(is_new or changed)
        return changed

    def _resolve(self) -> None:
        """Match the regular expressions that are in use; forget those that no longer are."""
        name, regexes = self._group.name, self._now.regexes
        used = {one.topic_regex for one in self._now.subscriptions.values() if one.topic_regex}
        for regex in sorted(regexes.keys() - used):
            del regexes[regex]
            self._records.append(RegexRecord(name, regex, None))
        for regex in sorted(used):
            found = matching(regex, self._topics.by_name)
            if regex not in regexes or regexes[regex].topics != found:
                resolved = ResolvedRegex(found, self._topics.version, self._wall_ms)
                regexes[regex] = resolved
                self._records.append(RegexRecord(name, regex, resolved))

    def _raise_epoch(self, subscriptions_changed: bool) -> None:
        found = metadata_hash(self._now.names(), self._topics)
        if subscriptions_changed or found != self._now.epoch.metadata_hash:
            epoch = max(self._now.epoch.epoch + 1, _FIRST_EPOCH)
            self._now.epoch = GroupEpoch(epoch, found)
            self._records.append(GroupEpochRecord(self._group.name, self._now.epoch))

    # The target

    def _target(self, member: ConsumerMember, subscription: MemberSubscription) -> Target:
        group = self._group
        epoch = self._now.epoch.epoch
        if epoch <= group.target_epoch:
            owner = self._replaced or member.member_id
            return Target(group.target_epoch, group.targets.get(owner, frozenset()))
        targets = self._assign()
        before = dict(group.targets)
        if self._replaced in before:
            before[member.member_id] = before.pop(self._replaced)
        for member_id in sorted(targets):
            if targets[member_id] != before.get(member_id):
                self._records.append(TargetRecord(group.name, member_id, targets[member_id]))
        self._records.append(TargetEpochRecord(group.name, TargetEpoch(epoch, self._wall_ms)))
        return Target(epoch, targets[member.member_id])

    def _assign(self) -> dict[str, frozenset[TopicIdPartition]]:
        """Static members are served by instance id, so that a new process changes nothing."""
        group, by_name = self._group, self._topics.by_name
        subscriptions = self._now.subscriptions
        order = sorted(subscriptions, key=lambda name: subscriptions[name].instance_id or name)
        ids: dict[UUID, int] = {}
        members: dict[str, set[UUID]] = {}
        for member_id in order:
            known = self._now.topics_read(subscriptions[member_id]) & by_name.keys()
            members[member_id] = {by_name[name].id for name in known}
            ids.update((by_name[name].id, by_name[name].partitions) for name in known)
        owned = dict(group.targets)
        if self._replaced in owned:
            owned[self._heartbeat.member_id] = owned.pop(self._replaced)
        shared = SERVER_ASSIGNORS[preferred_assignor(subscriptions.values())](members, ids, owned)
        return {member_id: frozenset(places) for member_id, places in shared.items()}

    # The step

    def _step(
        self,
        member: ConsumerMember,
        subscription: MemberSubscription,
        target: Target,
        changed: bool,
    ) -> CurrentAssignment:
        by_name = self._topics.by_name
        names = self._now.topics_read(subscription) & by_name.keys()
        mine = (None, member.member_id, self._replaced)
        around = Surroundings(
            is_free=lambda place: self._group.owner(place) in mine,
            subscribed={by_name[name].id for name in names},
            subscription_changed=changed,
            owned=self._heartbeat.owned,
        )
        return reconcile(member.current, target, around)
