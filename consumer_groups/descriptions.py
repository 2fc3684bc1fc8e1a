"""Groups as they are shown: lists, descriptions, how far behind they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tidelog.broker.broker import Broker
from tidelog.broker.errors import BrokerError, UnknownTopicId
from tidelog.broker.partition import Partition
from tidelog.consumer_groups.consumer_group import ConsumerGroup
from tidelog.consumer_groups.consumer_group_records import TopicIdPartition
from tidelog.consumer_groups.consumer_protocol import decode_assignment, topics_of
from tidelog.consumer_groups.group import Group
from tidelog.consumer_groups.member import Member
from tidelog.consumer_groups.membership import CONSUMER_PROTOCOL_TYPE
from tidelog.consumer_groups.offsets import (
    CommittedOffset,
    ConsumerGroupDescription,
    ConsumerMemberDescription,
    GroupDescription,
    GroupOverview,
    MemberDescription,
    PartitionLag,
    TopicIdPartitionName,
    TopicPartition,
)
from tidelog.consumer_groups.rebalance import State
from tidelog.storage.errors import StorageError
from tidelog.storage.record_batch import read_header

CLASSIC = "classic"
CONSUMER = "consumer"
AnyGroup = Group | ConsumerGroup


def overview(group: AnyGroup) -> GroupOverview:
    kind = CLASSIC if isinstance(group, Group) else CONSUMER
    return GroupOverview(
        group.name, group.state_name, group.protocol_type or "", kind, len(group.members)
    )


def describe(group: AnyGroup, broker: Broker) -> GroupDescription:
    """Only a stable classic group has a protocol, and members that agree on it."""
    if isinstance(group, ConsumerGroup):
        return _describe_new(group, broker)
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


def _describe_new(group: ConsumerGroup, broker: Broker) -> GroupDescription:
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


def _owners(group: AnyGroup, broker: Broker) -> dict[TopicPartition, str]:
    if isinstance(group, Group):
        return {
            place: member.member_id
            for member in group.members
            for place in assigned(member, group.protocol_type)
        }
    return {
        (place.topic, place.partition): member.member_id
        for member in group.members.values()
        for place in named(member.current.assigned, broker)
    }


def lag(
    group: AnyGroup, committed: Mapping[TopicPartition, CommittedOffset], broker: Broker
) -> list[PartitionLag]:
    """One line per partition that is committed or assigned, in order."""
    owners = _owners(group, broker)
    lines: list[PartitionLag] = []
    for topic, index in sorted(committed.keys() | owners.keys()):
        try:
            partition = broker.topic(topic).partition(index)
        except BrokerError:
            continue
        offset = committed.get((topic, index))
        lines.append(
            _partition_lag(partition, offset, owners.get((topic, index)), broker.clock.now_ms())
        )
    return lines


def _partition_lag(
    partition: Partition, offset: CommittedOffset | None, owner: str | None, now_ms: int
) -> PartitionLag:
    end = partition.high_watermark
    if offset is None:
        return PartitionLag(partition.topic, partition.index, None, end, None, None, owner)
    behind = max(end - max(offset.offset, partition.start_offset), 0)
    seconds = _seconds_behind(partition, offset.offset, now_ms) if behind else 0.0
    return PartitionLag(
        partition.topic, partition.index, offset.offset, end, behind, seconds, owner
    )


def _seconds_behind(partition: Partition, offset: int, now_ms: int) -> float | None:
    """Since when the next record to read has been waiting, by its batch's timestamp.

    None where the disk would have to be waited for.
    """
    try:
        fetched = partition.read_now(max(offset, partition.start_offset), 1)
    except StorageError:
        return None
    if fetched is None or not fetched.data:
        return None
    header = read_header(fetched.data[0])
    written_ms = header.max_timestamp if header.is_log_append_time else header.base_timestamp
    return max(now_ms - written_ms, 0) / 1000
