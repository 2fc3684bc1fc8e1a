"""Groups as they are shown: in lists, and with all their members."""

from __future__ import annotations

from collections.abc import Iterable

from tidelog.broker.broker import Broker
from tidelog.broker.errors import UnknownTopicId
from tidelog.consumer_groups.any_group import CLASSIC, CONSUMER, AnyGroup
from tidelog.consumer_groups.classic.classic_group import Group
from tidelog.consumer_groups.classic.classic_member import Member
from tidelog.consumer_groups.classic.consumer_protocol import decode_assignment, topics_of
from tidelog.consumer_groups.classic.membership import CONSUMER_PROTOCOL_TYPE
from tidelog.consumer_groups.classic.rebalance import State
from tidelog.consumer_groups.consumer.consumer_group import ConsumerGroup
from tidelog.consumer_groups.records.consumer_group_records import TopicIdPartition
from tidelog.consumer_groups.records.offsets import (
    ConsumerGroupDescription,
    ConsumerMemberDescription,
    GroupDescription,
    GroupOverview,
    MemberDescription,
    TopicIdPartitionName,
    TopicPartition,
)


def overview(group: AnyGroup) -> GroupOverview:
    facts = group.facts
    return GroupOverview(
        facts.name, facts.state_name, facts.protocol_type or "", group.kind, len(facts.members)
    )


def describe_classic(group: Group) -> GroupDescription:
    """Only a stable classic group has a protocol, and members that agree on it."""
    stable = group.state is State.STABLE
    protocol = group.protocol or "" if stable else ""
    return GroupDescription(
        group.name,
        group.state.value,
        group.protocol_type or "",
        protocol,
        CLASSIC,
        group.generation,
        group.members.leader,
        tuple(_member(member, protocol, group.protocol_type) for member in group.members),
    )


def _member(member: Member, protocol: str, protocol_type: str | None) -> MemberDescription:
    metadata = member.metadata(protocol)
    topics = None
    if protocol_type == CONSUMER_PROTOCOL_TYPE and metadata:
        topics = topics_of([metadata])
    return MemberDescription(
        member.member_id,
        member.instance_id,
        member.client_id,
        member.client_host,
        metadata,
        member.assignment,
        None if topics is None else tuple(sorted(topics)),
        assigned(member, protocol_type),
    )


def assigned(member: Member, protocol_type: str | None) -> tuple[TopicPartition, ...]:
    """The partitions of a consumer; none where its assignment cannot be read."""
    if protocol_type != CONSUMER_PROTOCOL_TYPE:
        return ()
    try:
        return decode_assignment(member.assignment)
    except ValueError:
        return ()


def describe_new(group: ConsumerGroup, broker: Broker) -> GroupDescription:
    return GroupDescription(
        group.name,
        group.state_name,
        group.protocol_type,
        group.assignor(),
        CONSUMER,
        group.epoch.epoch,
        None,
        tuple(
            MemberDescription(
                member.member_id,
                member.subscription.instance_id,
                member.subscription.client_id,
                member.subscription.client_host,
                b"",
                b"",
                tuple(sorted(group.topics_read(member.subscription))),
                tuple((place.topic, place.partition) for place in named(held, broker)),
            )
            for member in group.members.values()
            for held in [member.current.assigned]
        ),
    )


def describe_consumer(group: ConsumerGroup, broker: Broker) -> ConsumerGroupDescription:
    return ConsumerGroupDescription(
        group.name,
        group.state_name,
        group.epoch.epoch,
        group.target_epoch,
        group.assignor(),
        tuple(
            ConsumerMemberDescription(
                member.member_id,
                member.subscription.instance_id,
                member.subscription.rack_id,
                member.current.member_epoch,
                member.subscription.client_id,
                member.subscription.client_host,
                member.subscription.topic_names,
                member.subscription.topic_regex,
                named(member.current.assigned, broker),
                named(group.targets.get(member.member_id, ()), broker),
                member.subscription.classic is not None,
            )
            for member in group.members.values()
        ),
    )


def named(places: Iterable[TopicIdPartition], broker: Broker) -> tuple[TopicIdPartitionName, ...]:
    """Partitions in order, without those of topics that are gone."""
    named = []
    for topic_id, partition in places:
        try:
            topic = broker.topic_by_id(topic_id)
        except UnknownTopicId:
            continue
        named.append(TopicIdPartitionName(topic_id, topic.name, partition))
    return tuple(sorted(named, key=lambda place: place[1:]))
