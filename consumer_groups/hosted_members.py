"""Members on behalf of HTTP callers: join, live by polling, commit, leave.

The broker sends the heartbeats of the new protocol for them and always knows their epoch, so that
no lost reply can leave a member behind. What else a member is lies in its cursor; nothing is kept
here, and a restart of the broker ends no membership.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid5

from tidelog.broker.broker import Broker
from tidelog.broker.errors import BrokerError
from tidelog.broker.partition import Partition
from tidelog.broker.waiting import Watched
from tidelog.consumer_groups.commits import GroupOffsets
from tidelog.consumer_groups.consumer.consumer_group import ConsumerMember
from tidelog.consumer_groups.consumer.heartbeat import (
    JOIN_EPOCH,
    LEAVE_EPOCH,
    LEAVE_STATIC_EPOCH,
    ConsumerHeartbeat,
    ConsumerHeartbeatReply,
)
from tidelog.consumer_groups.errors import (
    IllegalGeneration,
    InconsistentProtocol,
    InvalidCursor,
    JoinKeyReused,
    PartitionNotOwned,
    UnknownGroup,
    UnknownMember,
)
from tidelog.consumer_groups.groups import Groups
from tidelog.consumer_groups.hosted import hosted_member
from tidelog.consumer_groups.hosted.cursor import LATEST, Cursor, decode_cursor
from tidelog.consumer_groups.hosted.hosted_member import HOSTED_PREFIX, Extent, is_hosted
from tidelog.consumer_groups.records.consumer_group_records import (
    MemberSubscription,
    TopicIdPartition,
)
from tidelog.consumer_groups.records.offsets import OffsetAndMetadata, TopicPartition

SendHeartbeat = Callable[[ConsumerHeartbeat], Awaitable[ConsumerHeartbeatReply]]

CLIENT_ID = "http"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedJoin:
    """``key``: joins with the same one are the same member, so that a join can be repeated."""

    group: str
    topics: tuple[str, ...]
    session_timeout_ms: int
    auto_offset_reset: str
    instance_id: str | None = None
    key: str | None = None
    client_host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a member stands after a heartbeat."""

    member_id: str
    cursor: Cursor
    """Where it is now, before anything is read: generation and positions are the present ones."""
    partitions: tuple[Partition, ...]
    """Its assignment, by topic and partition."""
    revoked: tuple[TopicIdPartition, ...]
    """What its last cursor had and it has no longer."""
    is_rebalancing: bool
    """The group is between two assignments."""
    heartbeat_interval_ms: int


class HostedMembers:
    """``heartbeat`` is how any member of the new protocol lives."""

    def __init__(
        self, broker: Broker, groups: Groups, offsets: GroupOffsets, heartbeat: SendHeartbeat
    ) -> None:
        self._broker = broker
        self._groups = groups
        self._offsets = offsets
        self._heartbeat = heartbeat

    async def join(self, join: HostedJoin) -> Standing:
        """A new member, or the same again where the key says so.

        A static member takes the place of the hosted one that had its instance id. Raises
        UnknownTopic, InvalidSessionTimeout, InvalidGroupId, GroupFull, UnreleasedInstance where a
        Kafka client has the instance id, InconsistentProtocol for a group that cannot be joined,
        JoinKeyReused where the key's member joined for something else.
        """
        self._groups.check_name(join.group)
        self._groups.settings.check_session_timeout(join.session_timeout_ms)
        for topic in join.topics:
            self._broker.topic(topic)
        cursor = Cursor(0, join.auto_offset_reset, join.instance_id, {})
        member_id = self._new_id(join)
        found = self._groups.consumer(join.group)
        if found is not None and member_id in found.members:
            _check_repeated(join, member_id, found.members[member_id].subscription)
            return await self.beat(join.group, member_id, cursor)
        await self._release(join)
        heartbeat = ConsumerHeartbeat(
            group=join.group,
            member_id=member_id,
            member_epoch=JOIN_EPOCH,
            instance_id=join.instance_id,
            client_id=CLIENT_ID,
            client_host=join.client_host,
            rebalance_timeout_ms=join.session_timeout_ms,
            topic_names=join.topics,
            owned=(),
        )
        try:
            reply = await self._heartbeat(heartbeat)
        except UnknownGroup:
            reason = "its members use a protocol that HTTP members cannot share"
            raise InconsistentProtocol(join.group, reason) from None
        return await self._standing(join.group, member_id, cursor, reply.heartbeat_interval_ms)

    async def _release(self, join: HostedJoin) -> None:
        """A hosted member that has the instance id gives it up; its partitions are kept for it."""
        found = self._groups.consumer(join.group)
        if join.instance_id is None or found is None:
            return
        present = found.static_member(join.instance_id)
        if present is None or not is_hosted(present.member_id):
            return
        if present.current.member_epoch != LEAVE_STATIC_EPOCH:
            await self._heartbeat(
                ConsumerHeartbeat(
                    group=join.group,
                    member_id=present.member_id,
                    member_epoch=LEAVE_STATIC_EPOCH,
                    instance_id=join.instance_id,
                )
            )

    def read_cursor(self, group: str, member_id: str, text: str) -> Cursor:
        """The cursor of a member.

        Raises UnknownMember, FencedInstance, InvalidCursor, and IllegalGeneration for one that is
        ahead of the member, which can only be of an earlier one with its id.
        """
        try:
            cursor = decode_cursor(group, member_id, text)
        except InvalidCursor:
            # Who is no member has to hear of that first.
            self._member(group, member_id)
            raise
        epoch = self._member(group, member_id, cursor.instance_id).current.member_epoch
        if cursor.generation > epoch:
            raise IllegalGeneration(group, cursor.generation, epoch)
        return cursor

    async def beat(self, group: str, member_id: str, cursor: Cursor) -> Standing:
        """The member lives, gives up what its cursor no longer has, and gets what is free.

        Raises UnknownMember, FencedInstance.
        """
        member = self._member(group, member_id, cursor.instance_id)
        current = member.current
        heartbeat = ConsumerHeartbeat(
            group=group,
            member_id=member_id,
            member_epoch=current.member_epoch,
            instance_id=member.subscription.instance_id,
            client_id=member.subscription.client_id,
            client_host=member.subscription.client_host,
            owned=hosted_member.owned(current, cursor),
        )
        reply = await self._heartbeat(heartbeat)
        return await self._standing(group, member_id, cursor, reply.heartbeat_interval_ms)

    async def commit_cursor(self, group: str, member_id: str, cursor: Cursor) -> None:
        """Commit what came before the cursor, durably; what is committed stays where it is ahead.

        Raises UnknownMember, FencedInstance.
        """
        member = self._member(group, member_id, cursor.instance_id)
        extents = self._extents(group, self._partitions(cursor.positions))
        offsets = hosted_member.to_commit(member.current, cursor, extents)
        await self._commit(group, member, offsets)

    async def commit(
        self, group: str, member_id: str, offsets: Mapping[TopicPartition, OffsetAndMetadata]
    ) -> None:
        """Commit as given. Raises UnknownMember, PartitionNotOwned, and what a commit raises."""
        member = self._member(group, member_id)
        held = {*member.current.assigned, *member.current.revoking}
        for topic, partition in offsets:
            if (self._broker.topic(topic).id, partition) not in held:
                raise PartitionNotOwned(group, member_id, topic, partition)
        epoch = member.current.member_epoch
        await self._offsets.commit(group, offsets, member_id=member_id, generation=epoch)

    async def leave(self, group: str, member_id: str) -> None:
        """The partitions go to the others at once. Raises UnknownMember."""
        instance_id = self._member(group, member_id).subscription.instance_id
        await self._heartbeat(
            ConsumerHeartbeat(
                group=group,
                member_id=member_id,
                member_epoch=LEAVE_EPOCH,
                instance_id=instance_id,
            )
        )

    def watch(self, group: str, member_id: str) -> Watched:
        """Wakes who waits when the member has a step to take."""
        return self._groups.watches.of(group, member_id)

    # Where a member stands

    def _member(self, name: str, member_id: str, instance_id: str | None = None) -> ConsumerMember:
        self._groups.check_name(name)
        group = self._groups.consumer(name)
        if group is None or not is_hosted(member_id):
            raise UnknownMember(name, member_id)
        return group.check_member(member_id, instance_id)

    async def _standing(
        self, name: str, member_id: str, cursor: Cursor, heartbeat_interval_ms: int
    ) -> Standing:
        member = self._member(name, member_id)
        group, current = self._groups.consumer(name), member.current
        partitions = self._partitions(current.assigned)
        extents = self._extents(name, partitions)
        positions = {
            place: hosted_member.position(place, current, cursor, extents[place])
            for place in partitions
        }
        begun = {
            place: offset
            for place, offset in positions.items()
            if place not in cursor.positions and extents[place].committed is None
        }
        if cursor.auto_offset_reset == LATEST:
            # The end moves on: whoever asks again has to begin at the same place.
            await self._commit(name, member, begun)
        else:
            self._groups.beginnings.note(name, begun)
        return Standing(
            member_id=member_id,
            cursor=cursor._replace(generation=current.member_epoch, positions=positions),
            partitions=tuple(sorted(partitions.values(), key=lambda p: (p.topic, p.index))),
            revoked=tuple(place for place in cursor.positions if place not in current.assigned),
            is_rebalancing=group is not None and group.state_name != "Stable",
            heartbeat_interval_ms=heartbeat_interval_ms,
        )

    def _partitions(self, places: Iterable[TopicIdPartition]) -> dict[TopicIdPartition, Partition]:
        """Without those of topics that are gone."""
        found: dict[TopicIdPartition, Partition] = {}
        for topic_id, index in places:
            try:
                found[topic_id, index] = self._broker.topic_by_id(topic_id).partition(index)
            except BrokerError:
                continue
        return found

    def _extents(
        self, group: str, partitions: Mapping[TopicIdPartition, Partition]
    ) -> dict[TopicIdPartition, Extent]:
        committed = self._offsets.committed_offset
        return {
            place: Extent(
                partition.start_offset,
                partition.high_watermark,
                committed(group, partition.topic, partition.index),
            )
            for place, partition in partitions.items()
        }

    async def _commit(
        self, group: str, member: ConsumerMember, offsets: Mapping[TopicIdPartition, int]
    ) -> None:
        partitions = self._partitions(offsets)
        named = {
            (partition.topic, partition.index): OffsetAndMetadata(offsets[place])
            for place, partition in partitions.items()
        }
        if named:
            epoch = member.current.member_epoch
            await self._offsets.commit(group, named, member_id=member.member_id, generation=epoch)

    def _new_id(self, join: HostedJoin) -> str:
        if join.key is None:
            return f"{HOSTED_PREFIX}{self._broker.environment.new_id()}"
        return f"{HOSTED_PREFIX}{uuid5(NAMESPACE_URL, f'{join.group}/{join.key}')}"


def _check_repeated(join: HostedJoin, member_id: str, joined: MemberSubscription) -> None:
    """Where to begin is no part of a membership and may be another. Raises JoinKeyReused."""
    asked = join.topics, join.instance_id, join.session_timeout_ms
    if asked != (joined.topic_names, joined.instance_id, joined.rebalance_timeout_ms):
        raise JoinKeyReused(join.group, member_id, join.key or "")
