"""A group changes its protocol while its members live (KIP-848, online migration).

A classic group of consumers becomes one of the new protocol when a member of the new protocol
joins: its members stay, with what they own, and are served as ``classic_member.py`` says. It goes
back when the last member of the new protocol is gone; all that are left are asked to join again.
Both ways the generation of one is the epoch of the other, so that members may go on committing.

Pure; the rules are those of Apache Kafka with ``group.consumer.migration.policy``.
"""

from __future__ import annotations

from collections.abc import Iterable

from tidelog.consumer_groups.classic.classic_group import Group
from tidelog.consumer_groups.classic.classic_member import Member
from tidelog.consumer_groups.classic.consumer_protocol import (
    assignment_version,
    assignor_data,
    decode_assignment,
    decode_subscription,
    encode_assignment,
)
from tidelog.consumer_groups.classic.membership import CONSUMER_PROTOCOL_TYPE
from tidelog.consumer_groups.consumer.consumer_group import ConsumerGroup, ConsumerMember, TopicsNow
from tidelog.consumer_groups.errors import GroupFull, UnknownGroup
from tidelog.consumer_groups.records.consumer_group_records import (
    ClassicMetadata,
    ConsumerGroupRecord,
    CurrentAssignment,
    CurrentRecord,
    GroupEpoch,
    GroupEpochRecord,
    MemberState,
    MemberSubscription,
    SubscriptionRecord,
    TargetEpoch,
    TargetEpochRecord,
    TargetRecord,
    TopicIdPartition,
)
from tidelog.consumer_groups.records.group_records import GroupMember, GroupMetadata
from tidelog.consumer_groups.settings import GroupSettings


def upgraded(
    group: Group, topics: TopicsNow, settings: GroupSettings, wall_ms: int
) -> list[ConsumerGroupRecord]:
    """The records of the same group in the new protocol.

    Raises UnknownGroup where it cannot or must not change, GroupFull where it is too large.
    """
    if not settings.may_upgrade or group.protocol_type != CONSUMER_PROTOCOL_TYPE:
        raise UnknownGroup(group.name)
    if len(group.members) > settings.consumer_max_size:
        raise GroupFull(group.name, settings.consumer_max_size)
    try:
        members = _new_members(group, topics)
    except ValueError:
        raise UnknownGroup(group.name) from None
    name, epoch = group.name, group.generation
    return [
        *(SubscriptionRecord(name, one.member_id, one.subscription) for one in members),
        GroupEpochRecord(name, GroupEpoch(epoch)),
        *(TargetRecord(name, one.member_id, frozenset(one.current.assigned)) for one in members),
        TargetEpochRecord(name, TargetEpoch(epoch, wall_ms)),
        *(CurrentRecord(name, one.member_id, one.current) for one in members),
    ]


def _new_members(group: Group, topics: TopicsNow) -> list[ConsumerMember]:
    """Of what their leader gave to two members, the first has it.

    Raises ValueError where one of them does not speak as a consumer, or their assignor has told it
    more than partitions, which the broker's assignors would not.
    """
    protocol = group.members.select_protocol()
    taken: set[TopicIdPartition] = set()
    members = []
    for one in group.members:
        subscription = decode_subscription(one.metadata(protocol))
        if assignor_data(one.assignment):
            raise ValueError
        assigned = set(_assigned(one, topics)) - taken
        taken |= assigned
        members.append(_new_member(one, subscription.topics, group.generation, assigned))
    return members


def _assigned(member: Member, topics: TopicsNow) -> list[TopicIdPartition]:
    by_name = topics.by_name
    return [
        (by_name[topic].id, partition)
        for topic, partition in decode_assignment(member.assignment)
        if topic in by_name
    ]


def _new_member(
    member: Member, topic_names: Iterable[str], generation: int, assigned: set[TopicIdPartition]
) -> ConsumerMember:
    return ConsumerMember(
        member.member_id,
        MemberSubscription(
            member.instance_id,
            None,
            member.client_id,
            member.client_host,
            tuple(sorted(set(topic_names))),
            None,
            member.rebalance_timeout_ms,
            None,
            ClassicMetadata(member.session_timeout_ms, member.protocols),
        ),
        CurrentAssignment(
            generation, generation, MemberState.STABLE, dict.fromkeys(assigned, generation), {}
        ),
    )


def downgraded(
    group: ConsumerGroup, topics: TopicsNow, settings: GroupSettings, wall_ms: int
) -> GroupMetadata | None:
    """The same group in the classic protocol, None while it has to stay what it is.

    Its generation is the epoch that members have heard of: that of the last target.
    """
    members = list(group.members.values())
    common = common_protocols(members)
    fits = 0 < len(members) <= settings.max_size
    if not (settings.may_downgrade and fits and common and all(one.is_classic for one in members)):
        return None
    protocol = next(name for name, _ in _spoken(members[0]) if name in common)
    return GroupMetadata(
        CONSUMER_PROTOCOL_TYPE,
        group.target_epoch,
        protocol,
        members[0].member_id,
        wall_ms,
        tuple(_old_member(one, protocol, topics) for one in members),
    )


def _old_member(member: ConsumerMember, protocol: str, topics: TopicsNow) -> GroupMember:
    said = member.subscription
    assert said.classic is not None
    return GroupMember(
        member.member_id,
        said.instance_id,
        said.client_id,
        said.client_host,
        said.rebalance_timeout_ms,
        said.classic.session_timeout_ms,
        dict(said.classic.protocols)[protocol],
        assignment_of(member, topics),
    )


def assignment_of(member: ConsumerMember, topics: TopicsNow) -> bytes:
    """What a classic member has, as its protocol tells it."""
    assert member.subscription.classic is not None
    _, subscription = member.subscription.classic.protocols[0]
    names = {
        topics.by_name[name].id: name
        for name in member.subscription.topic_names
        if name in topics.by_name
    }
    places = (
        (names[topic_id], partition)
        for topic_id, partition in sorted(member.current.assigned)
        if topic_id in names
    )
    return encode_assignment(places, assignment_version(subscription))


def common_protocols(members: Iterable[ConsumerMember]) -> frozenset[str]:
    """The protocols that all of the classic members speak."""
    spoken = [
        frozenset(name for name, _ in _spoken(member)) for member in members if member.is_classic
    ]
    return spoken[0].intersection(*spoken[1:]) if spoken else frozenset()


def _spoken(member: ConsumerMember) -> tuple[tuple[str, bytes], ...]:
    classic = member.subscription.classic
    return () if classic is None else classic.protocols
