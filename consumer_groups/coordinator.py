"""The group coordinator: what doors call.

Every method raises CoordinatorLoading after a start until the offsets topic is applied, and
CoordinatorUnavailable once the broker stops or cannot write.

Requests of members become commands of ``Group``; those that have to wait are parked as futures,
which are the group's tickets. What has to be remembered becomes records of the offsets topic and
is answered when they are durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from uuid import UUID, uuid4

from tidelog.broker.broker import Broker
from tidelog.broker.errors import UnknownPartition, UnknownTopic
from tidelog.consumer_groups import descriptions, offset_reset, offset_store
from tidelog.consumer_groups.errors import (
    GroupNotEmpty,
    GroupSubscribed,
    InvalidGroupId,
    InvalidSessionTimeout,
    MetadataTooLarge,
    UnknownGroup,
    UnknownMember,
)
from tidelog.consumer_groups.group import Group
from tidelog.consumer_groups.group_records import GroupRecord, StateRecord
from tidelog.consumer_groups.groups import Groups
from tidelog.consumer_groups.membership import (
    CONSUMER_PROTOCOL_TYPE,
    UNKNOWN_MEMBER_ID,
    HeartbeatRequest,
    JoinReply,
    JoinRequest,
    LeavingMember,
    LeftMember,
    SyncReply,
    SyncRequest,
)
from tidelog.consumer_groups.offsets import (
    CommittedOffset,
    GroupDescription,
    GroupOverview,
    OffsetAndMetadata,
    OffsetChange,
    PartitionLag,
    ResetTarget,
    TopicPartition,
)
from tidelog.consumer_groups.rebalance import State

_GROUP_ID_BYTES = 2**15 - 1


class Coordinator:
    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._groups = Groups(broker)
        self._settings = self._groups.settings
        self._expiry: asyncio.Task[None] | None = None
        broker.committed_offset = self.committed_offset

    @property
    def loading(self) -> bool:
        return self._groups.loading

    async def start(self) -> None:
        """Begin to load; returns at once."""
        self._groups.start()
        self._expiry = asyncio.ensure_future(self._repeat_expiry())

    async def loaded(self) -> None:
        """Return when loading is done."""
        await self._groups.loaded()

    def stop_waiting(self) -> None:
        """Let everybody go who waits for a rebalance; the rest still works until ``close``."""
        self._groups.stop_waiting()

    async def close(self) -> None:
        """Finish what is being written. The broker closes after it."""
        if self._expiry is not None:
            self._expiry.cancel()
        await self._groups.close()

    # Members

    async def join(self, request: JoinRequest) -> JoinReply:
        """Waits until the group has a new generation.

        Raises MemberIdRequired (come back with its id), UnknownMember, FencedInstance,
        InconsistentProtocol, GroupFull, InvalidSessionTimeout, InvalidGroupId.
        """
        self._check(request.group)
        self._check_session_timeout(request.session_timeout_ms)
        if request.member_id == UNKNOWN_MEMBER_ID:
            group = self._groups.create(request.group)
        else:
            found = self._groups.find(request.group)
            if found is None:
                raise UnknownMember(request.group, request.member_id)
            group = found
        ticket: asyncio.Future[JoinReply] = asyncio.get_running_loop().create_future()
        new_id = f"{request.instance_id or request.client_id}-{uuid4()}"
        outcome = group.join(request, ticket, new_id, self._groups.now_ms())
        self._groups.carry_out(group, outcome)
        return await self._groups.wait(ticket)

    def _check_session_timeout(self, session_timeout_ms: int) -> None:
        low, high = self._settings.min_session_timeout_ms, self._settings.max_session_timeout_ms
        if not low <= session_timeout_ms <= high:
            raise InvalidSessionTimeout(session_timeout_ms, low, high)

    async def sync(self, request: SyncRequest) -> SyncReply:
        """Waits for the leader's assignment.

        Raises UnknownMember, FencedInstance, IllegalGeneration, RebalanceInProgress,
        InconsistentProtocol.
        """
        group = self._member_group(request.group, request.member_id)
        ticket: asyncio.Future[SyncReply] = asyncio.get_running_loop().create_future()
        self._groups.carry_out(group, group.sync(request, ticket))
        return await self._groups.wait(ticket)

    def heartbeat(self, request: HeartbeatRequest) -> None:
        """Raises RebalanceInProgress, UnknownMember, FencedInstance, IllegalGeneration."""
        group = self._member_group(request.group, request.member_id)
        group.heartbeat(request, self._groups.now_ms())

    async def leave(self, group: str, members: Sequence[LeavingMember]) -> list[LeftMember]:
        """Each member is answered for itself."""
        self._check(group)
        found = self._groups.find(group)
        if found is None:
            return [
                LeftMember(one.member_id, one.instance_id, UnknownMember(group, one.member_id))
                for one in members
            ]
        left, outcome = found.leave(members, self._groups.now_ms())
        self._groups.carry_out(found, outcome)
        return left

    def _check(self, group: str) -> None:
        self._groups.check_ready()
        if not group or len(group.encode()) > _GROUP_ID_BYTES:
            raise InvalidGroupId(group)

    def _member_group(self, name: str, member_id: str) -> Group:
        self._check(name)
        group = self._groups.find(name)
        if group is None:
            raise UnknownMember(name, member_id)
        return group

    # Offsets

    async def commit(
        self,
        group: str,
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
        *,
        member_id: str = UNKNOWN_MEMBER_ID,
        generation: int = -1,
        instance_id: str | None = None,
    ) -> None:
        """All or nothing, durable when this returns.

        Raises UnknownTopic, UnknownPartition, MetadataTooLarge; UnknownGroup for a member of a
        group that does not exist; and what a group says to a member that may not commit:
        UnknownMember, FencedInstance, IllegalGeneration, RebalanceInProgress.
        """
        self._check_commit(group, member_id, generation, instance_id)
        for place, offset in offsets.items():
            error = self._refusal(place, offset)
            if error is not None:
                raise error
        await self._commit(group, offsets)

    async def commit_each(
        self,
        group: str,
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
        *,
        member_id: str = UNKNOWN_MEMBER_ID,
        generation: int = -1,
        instance_id: str | None = None,
    ) -> dict[TopicPartition, Exception]:
        """Kafka's way: the good partitions are committed, the error of each bad one returned."""
        self._check_commit(group, member_id, generation, instance_id)
        errors: dict[TopicPartition, Exception] = {}
        good: dict[TopicPartition, OffsetAndMetadata] = {}
        for place, offset in offsets.items():
            error = self._refusal(place, offset)
            if error is None:
                good[place] = offset
            else:
                errors[place] = error
        await self._commit(group, good)
        return errors

    def _check_commit(
        self, name: str, member_id: str, generation: int, instance_id: str | None
    ) -> None:
        self._groups.check_ready()
        group = self._groups.find(name)
        if group is not None:
            group.check_commit(member_id, generation, instance_id, self._groups.now_ms())
        elif generation >= 0:
            raise UnknownGroup(name)
        elif len(name.encode()) > _GROUP_ID_BYTES:
            raise InvalidGroupId(name)

    def _refusal(self, place: TopicPartition, offset: OffsetAndMetadata) -> Exception | None:
        topic, partition = place
        try:
            self._broker.topic(topic).partition(partition)
        except (UnknownTopic, UnknownPartition) as error:
            return error
        limit = self._settings.offset_metadata_max_bytes
        if len(offset.metadata) > limit:
            return MetadataTooLarge(len(offset.metadata), limit)
        return None

    async def _commit(
        self, group: str, offsets: Mapping[TopicPartition, OffsetAndMetadata]
    ) -> None:
        if not offsets:
            return
        ids: dict[str, UUID] = {topic: self._broker.topic(topic).id for topic, _ in offsets}
        now_ms = self._broker.clock.now_ms()
        await self._groups.topic.write(group, offset_store.commit(group, offsets, ids, now_ms))

    def committed(self, group: str) -> dict[TopicPartition, CommittedOffset]:
        """What the group has committed, nothing for a group that does not exist."""
        self._groups.check_ready()
        return {
            place: offset
            for place, offset in self._groups.offsets.committed(group).items()
            if self._is_current(place, offset)
        }

    def committed_offset(self, group: str, topic: str, partition: int) -> int | None:
        """One committed offset, None where there is none or it is not known yet."""
        if self.loading:
            return None
        place = (topic, partition)
        offset = self._groups.offsets.committed(group).get(place)
        return offset.offset if offset is not None and self._is_current(place, offset) else None

    def _is_current(self, place: TopicPartition, offset: CommittedOffset) -> bool:
        """Whether the offset belongs to the topic that now has the name."""
        try:
            topic = self._broker.topic(place[0])
        except UnknownTopic:
            return False
        return offset.topic_id is None or offset.topic_id == topic.id

    async def delete_offsets(
        self, group: str, topic: str, partitions: Iterable[int] | None = None
    ) -> None:
        """Forget what is committed for the topic, or for some of its partitions.

        Raises UnknownGroup, GroupSubscribed, and GroupNotEmpty where members are no consumers.
        """
        self._groups.check_ready()
        self._groups.existing(group)
        wanted = None if partitions is None else set(partitions)

        def forget() -> Sequence[StateRecord]:
            found = self._groups.existing(group)
            if found.state is not State.EMPTY:
                if found.protocol_type != CONSUMER_PROTOCOL_TYPE:
                    raise GroupNotEmpty(group)
                if found.is_subscribed_to(topic):
                    raise GroupSubscribed(group, topic)
            places = [
                place
                for place in self._groups.offsets.committed(group)
                if place[0] == topic and (wanted is None or place[1] in wanted)
            ]
            return offset_store.forget(group, places)

        await self._groups.topic.write(group, forget)

    async def reset(
        self,
        group: str,
        to: ResetTarget,
        *,
        topics: Iterable[str] | None = None,
        partitions: Iterable[TopicPartition] | None = None,
        dry_run: bool = False,
        force: bool = False,
    ) -> list[OffsetChange]:
        """Move the group, in all that it has committed unless topics or partitions are named.

        Raises GroupNotEmpty while there are members unless ``force`` is given, UnknownGroup for
        one without offsets where nothing is named, UnknownTopic, UnknownPartition, InvalidReset.
        """
        self._check(group)
        if topics is None and partitions is None:
            self._groups.existing(group)
        self._check_resettable(group, force)
        committed = self.committed(group)
        chosen = offset_reset.chosen(self._broker, committed, topics, partitions)
        now_ms = self._broker.clock.now_ms()
        changes = await offset_reset.changes(to, chosen, committed, now_ms)
        if not dry_run:
            self._check_resettable(group, force)
            await self._commit(
                group,
                {
                    (change.topic, change.partition): OffsetAndMetadata(change.after)
                    for change in changes
                },
            )
        return changes

    def _check_resettable(self, name: str, force: bool) -> None:
        group = self._groups.find(name)
        if not force and group is not None and group.state is not State.EMPTY:
            raise GroupNotEmpty(name)

    # Groups

    def groups(self) -> list[GroupOverview]:
        """Every group, by name."""
        self._groups.check_ready()
        return sorted(map(descriptions.overview, self._groups))

    def describe(self, group: str) -> GroupDescription:
        """Raises UnknownGroup."""
        self._groups.check_ready()
        return descriptions.describe(self._groups.existing(group))

    def lag(self, group: str) -> list[PartitionLag]:
        """How far the group is behind, per partition, in order. Raises UnknownGroup."""
        self._groups.check_ready()
        existing = self._groups.existing(group)
        return descriptions.lag(existing, self.committed(group), self._broker)

    async def delete(self, group: str) -> None:
        """Forget the group and its offsets. Raises UnknownGroup, GroupNotEmpty."""
        self._groups.check_ready()

        def forget() -> Sequence[StateRecord]:
            if self._groups.existing(group).state is not State.EMPTY:
                raise GroupNotEmpty(group)
            places = list(self._groups.offsets.committed(group))
            return [*offset_store.forget(group, places), GroupRecord(group, None)]

        if self._groups.existing(group).state is not State.EMPTY:
            raise GroupNotEmpty(group)
        await self._groups.topic.write(group, forget)

    # Time

    def expire_members(self) -> None:
        """Do what is due by the clock; a timer calls this, tests may."""
        self._groups.expire()

    async def _repeat_expiry(self) -> None:
        while True:
            await asyncio.sleep(self._settings.offsets_retention_check_interval_ms / 1000)
            if not self.loading:
                await self.expire_offsets()

    async def expire_offsets(self) -> None:
        """Forget offsets past their time or of topics that are gone, and groups without any."""
        writes = [
            self._groups.topic.write(group.name, partial(self._expired, group.name))
            for group in self._groups
            if self._expired(group.name)
        ]
        if writes:
            await asyncio.wait(writes)

    def _expired(self, name: str) -> Sequence[StateRecord]:
        """The tombstones that are due for a group."""
        group = self._groups.find(name) or Group(name, self._settings)
        offsets = self._groups.offsets.committed(name)
        now_ms = self._broker.clock.now_ms()
        places = [
            place
            for place, offset in offsets.items()
            if not self._is_current(place, offset)
            or offset_store.is_expired(
                offset,
                group.retained_since_ms(place[0], offset.commit_timestamp_ms),
                self._settings.offsets_retention_ms,
                now_ms,
            )
        ]
        records: list[StateRecord] = list(offset_store.forget(name, places))
        if len(places) == len(offsets) and group.is_disposable:
            records.append(GroupRecord(name, None))
        return records
