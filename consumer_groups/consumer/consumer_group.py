"""A group of the new protocol (KIP-848): what its records say, and the clocks of its members.

State changes only by ``apply``; ``consumer_rebalance.py`` decides which records a heartbeat leads
to. Three epochs tell how far everything is: the group's (what is subscribed), the target's (what
each member is to have) and each member's (what it has been told to have).

Invariants: a partition has at most one owner, counting those who are giving it up; an instance id
belongs to one member.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple
from uuid import UUID

from tidelog.consumer_groups.classic.classic_member import NEVER_MS
from tidelog.consumer_groups.classic.membership import CONSUMER_PROTOCOL_TYPE
from tidelog.consumer_groups.consumer.assignment import SERVER_ASSIGNORS
from tidelog.consumer_groups.errors import (
    FencedInstance,
    IllegalGeneration,
    StaleMemberEpoch,
    UnknownMember,
)
from tidelog.consumer_groups.hosted.hosted_member import is_hosted
from tidelog.consumer_groups.records.consumer_group_records import (
    ConsumerGroupRecord,
    CurrentAssignment,
    CurrentRecord,
    GroupEpoch,
    GroupEpochRecord,
    MemberState,
    MemberSubscription,
    RegexRecord,
    ResolvedRegex,
    SubscriptionRecord,
    TargetEpochRecord,
    TargetRecord,
    TopicIdPartition,
)
from tidelog.consumer_groups.settings import GroupSettings


class TopicInfo(NamedTuple):
    id: UUID
    partitions: int


class TopicsNow(NamedTuple):
    """The catalog as a group sees it; ``version`` changes whenever it does."""

    version: int
    by_name: Mapping[str, TopicInfo]


@dataclass(frozen=True, slots=True)
class ConsumerMember:
    member_id: str
    subscription: MemberSubscription
    current: CurrentAssignment

    @property
    def is_classic(self) -> bool:
        """Takes part through the classic protocol."""
        return self.subscription.classic is not None


_NO_SUBSCRIPTION = MemberSubscription(None, None, "", "", (), None, -1, None)
NO_ASSIGNMENT = CurrentAssignment(0, 0, MemberState.STABLE, {}, {})


class ConsumerGroup:
    def __init__(self, name: str, settings: GroupSettings) -> None:
        self.name = name
        self.epoch = GroupEpoch(0)
        self.target_epoch = 0
        self.members: dict[str, ConsumerMember] = {}
        self.targets: dict[str, frozenset[TopicIdPartition]] = {}
        self.regexes: dict[str, ResolvedRegex] = {}
        self.topics_version = -1
        """Of the catalog that was last looked at."""
        self.wake_ms = NEVER_MS
        """Nobody is due before this time."""
        self.empty_since_ms = -1
        """Wall-clock time when the last member was seen to go; offsets expire by it."""
        self._settings = settings
        self._static: dict[str, str] = {}
        self._owners: dict[TopicIdPartition, str] = {}
        self._sessions: dict[str, int] = {}
        self._revocations: dict[str, tuple[int, int]] = {}
        """Until when a member has to give up partitions, and at which epoch it was told to."""
        self._steps: dict[str, int] = {}
        """Until when a classic member has to join again, or to ask for its assignment."""

    def use_settings(self, settings: GroupSettings) -> None:
        """Sessions that begin from now on are as long as these say."""
        self._settings = settings

    # What the records say

    def apply(self, record: ConsumerGroupRecord) -> None:
        if isinstance(record, GroupEpochRecord):
            self.epoch = record.value or GroupEpoch(0)
        elif isinstance(record, TargetEpochRecord):
            self.target_epoch = 0 if record.value is None else record.value.epoch
        elif isinstance(record, SubscriptionRecord):
            if record.value is None:
                self._remove(record.member_id)
            else:
                self._subscribe(record.member_id, record.value)
        elif isinstance(record, CurrentRecord):
            self._assign(record.member_id, record.value)
        elif isinstance(record, TargetRecord):
            if record.value is None:
                self.targets.pop(record.member_id, None)
            else:
                self.targets[record.member_id] = record.value
        elif record.value is None:
            self.regexes.pop(record.regex, None)
        else:
            self.regexes[record.regex] = record.value

    def _subscribe(self, member_id: str, subscription: MemberSubscription) -> None:
        member = self.members.get(member_id)
        if member is None:
            self.members[member_id] = ConsumerMember(member_id, subscription, NO_ASSIGNMENT)
        else:
            self.members[member_id] = replace(member, subscription=subscription)
        if subscription.instance_id is not None:
            self._static[subscription.instance_id] = member_id

    def _remove(self, member_id: str) -> None:
        self._assign(member_id, None)
        member = self.members.pop(member_id, None)
        if member is None:
            return
        instance_id = member.subscription.instance_id
        if instance_id is not None and self._static.get(instance_id) == member_id:
            del self._static[instance_id]
        self._sessions.pop(member_id, None)
        self._revocations.pop(member_id, None)
        self._steps.pop(member_id, None)

    def _assign(self, member_id: str, current: CurrentAssignment | None) -> None:
        member = self.members.get(member_id)
        if member is None and current is None:
            return
        if member is None:
            # Compaction may leave the subscription behind what it once came before.
            member = ConsumerMember(member_id, _NO_SUBSCRIPTION, NO_ASSIGNMENT)
        for place in (*member.current.assigned, *member.current.revoking):
            if self._owners.get(place) == member_id:
                del self._owners[place]
        current = current or NO_ASSIGNMENT
        for place in (*current.assigned, *current.revoking):
            self._owners[place] = member_id
        self.members[member_id] = replace(member, current=current)

    # Asked by those who decide

    @property
    def is_empty(self) -> bool:
        return not self.members

    @property
    def protocol_type(self) -> str:
        return CONSUMER_PROTOCOL_TYPE

    @property
    def is_disposable(self) -> bool:
        return not self.members

    @property
    def state_name(self) -> str:
        """Empty, Assigning, Reconciling or Stable."""
        if not self.members:
            return "Empty"
        if self.epoch.epoch > self.target_epoch:
            return "Assigning"
        if all(self._is_reconciled(member) for member in self.members.values()):
            return "Stable"
        return "Reconciling"

    def _is_reconciled(self, member: ConsumerMember) -> bool:
        current = member.current
        return current.state is MemberState.STABLE and current.member_epoch == self.target_epoch

    def assignor(self) -> str:
        """Who shares the partitions out."""
        return preferred_assignor(member.subscription for member in self.members.values())

    def awaits_heartbeat(self, member_id: str) -> bool:
        """Whether a heartbeat, whatever it says, would move the member on."""
        member = self.members.get(member_id)
        if member is None or self.epoch.epoch > self.target_epoch:
            return True
        current = member.current
        if current.state is MemberState.UNREVOKED_PARTITIONS:
            return False
        if current.member_epoch != self.target_epoch:
            return True
        waits = current.state is MemberState.UNRELEASED_PARTITIONS
        return waits and any(self.owner(place) is None for place in self.targets.get(member_id, ()))

    def owner(self, place: TopicIdPartition) -> str | None:
        """Who owns the partition, or is still giving it up."""
        return self._owners.get(place)

    def static_member(self, instance_id: str) -> ConsumerMember | None:
        member_id = self._static.get(instance_id)
        return None if member_id is None else self.members.get(member_id)

    def topics_read(self, subscription: MemberSubscription) -> frozenset[str]:
        """The names of all topics that the subscription means."""
        names = frozenset(subscription.topic_names)
        resolved = self.regexes.get(subscription.topic_regex or "")
        return names if resolved is None else names.union(resolved.topics)

    def is_subscribed_to(self, topic: str) -> bool:
        return any(topic in self.topics_read(one.subscription) for one in self.members.values())

    def check_member(self, member_id: str, instance_id: str | None) -> ConsumerMember:
        """Raises UnknownMember, FencedInstance."""
        if instance_id is not None:
            present = self.static_member(instance_id)
            if present is None:
                raise UnknownMember(self.name, member_id)
            if present.member_id != member_id:
                raise FencedInstance(self.name, instance_id)
        member = self.members.get(member_id)
        if member is None:
            raise UnknownMember(self.name, member_id)
        return member

    def check_commit(self, member_id: str, epoch: int, places: Iterable[TopicIdPartition]) -> None:
        """Whether the member may commit offsets of these partitions.

        A member that has not yet heard of its new epoch may, for partitions that it has had since
        before (KIP-1251). Raises UnknownMember, StaleMemberEpoch; IllegalGeneration for a classic
        member.
        """
        if epoch < 0 and not self.members:
            return
        member = self.members.get(member_id)
        if member is None:
            raise UnknownMember(self.name, member_id)
        current = member.current
        if epoch == current.member_epoch:
            return
        if member.is_classic:
            raise IllegalGeneration(self.name, epoch, current.member_epoch)
        held = {**current.revoking, **current.assigned}
        if (
            epoch < 0
            or epoch > current.member_epoch
            or any(held.get(place, epoch + 1) > epoch for place in places)
        ):
            raise StaleMemberEpoch(self.name, member_id, epoch, current.member_epoch)

    def check_fetch(self, member_id: str, epoch: int) -> None:
        """Whether the member may read committed offsets. Raises UnknownMember, StaleMemberEpoch."""
        member = self.members.get(member_id)
        if member is None:
            raise UnknownMember(self.name, member_id)
        if epoch != member.current.member_epoch:
            raise StaleMemberEpoch(self.name, member_id, epoch, member.current.member_epoch)

    def retained_since_ms(self, topic: str, committed_ms: int) -> int | None:
        """When the retention of an offset began, None while it is in use (KIP-211)."""
        if not self.members:
            return max(self.empty_since_ms, committed_ms)
        return None if self.is_subscribed_to(topic) else committed_ms

    def tombstones(self) -> list[ConsumerGroupRecord]:
        """The records that forget the group, as it is now."""
        records: list[ConsumerGroupRecord] = []
        for member_id in self.members:
            records += forget_member(self.name, member_id)
        records += [
            TargetRecord(self.name, one, None) for one in self.targets.keys() - self.members
        ]
        records += [RegexRecord(self.name, regex, None) for regex in self.regexes]
        records += [TargetEpochRecord(self.name, None), GroupEpochRecord(self.name, None)]
        return records

    # Clocks

    def hear(self, member_id: str, now_ms: int) -> None:
        """The member is alive; if it has to give up partitions, its time for that may begin."""
        member = self.members.get(member_id)
        if member is None:
            return
        self._sessions[member_id] = now_ms + self._session_timeout_ms(member)
        current = member.current
        if current.state is not MemberState.UNREVOKED_PARTITIONS:
            self._revocations.pop(member_id, None)
        elif self._revocations.get(member_id, (0, -1))[1] != current.member_epoch:
            timeout_ms = member.subscription.rebalance_timeout_ms
            self._revocations[member_id] = (now_ms + timeout_ms, current.member_epoch)
            self.wake_ms = min(self.wake_ms, now_ms + timeout_ms)
        self.wake_ms = min(self.wake_ms, self._sessions[member_id])

    def await_step(self, member_id: str, now_ms: int) -> None:
        """A classic member has its rebalance timeout for its next step, from the first call on."""
        timeout_ms = self.members[member_id].subscription.rebalance_timeout_ms
        due_ms = self._steps.setdefault(member_id, now_ms + timeout_ms)
        self.wake_ms = min(self.wake_ms, due_ms)

    def took_step(self, member_id: str) -> None:
        self._steps.pop(member_id, None)

    def _session_timeout_ms(self, member: ConsumerMember) -> int:
        """A classic member chooses its own; a hosted one polls in its caller's rhythm."""
        classic = member.subscription.classic
        if classic is not None:
            return classic.session_timeout_ms
        if is_hosted(member.member_id):
            return member.subscription.rebalance_timeout_ms
        return self._settings.consumer_session_timeout_ms

    def resume(self, now_ms: int, wall_ms: int) -> None:
        """After loading everybody gets a session's time to be heard of."""
        for member_id in self.members:
            self.hear(member_id, now_ms)
        if not self.members:
            self.empty_since_ms = wall_ms

    def overdue(self, now_ms: int) -> list[str]:
        """Members that are silent for too long, or too slow in giving up or joining again."""
        if now_ms < self.wake_ms:
            return []
        deadlines = [
            *self._sessions.items(),
            *((member_id, at_ms) for member_id, (at_ms, _) in self._revocations.items()),
            *self._steps.items(),
        ]
        waiting = [at_ms for _, at_ms in deadlines if at_ms > now_ms]
        self.wake_ms = min(waiting, default=NEVER_MS)
        return list(dict.fromkeys(member_id for member_id, at_ms in deadlines if at_ms <= now_ms))


def preferred_assignor(subscriptions: Iterable[MemberSubscription]) -> str:
    """The one that most members ask for, else the first there is."""
    votes = Counter(one.assignor for one in subscriptions if one.assignor is not None)
    return votes.most_common(1)[0][0] if votes else next(iter(SERVER_ASSIGNORS))


def forget_member(group: str, member_id: str) -> Iterable[ConsumerGroupRecord]:
    """The tombstones of one member."""
    return (
        CurrentRecord(group, member_id, None),
        TargetRecord(group, member_id, None),
        SubscriptionRecord(group, member_id, None),
    )
