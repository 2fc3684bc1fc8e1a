"""What groups have committed: commit, read, reset, delete, expire.

Commits are durable when they are acknowledged. Offsets belong to a topic's id as well as its name:
of a topic that was deleted and made anew nothing is committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from uuid import UUID

from tidelog.broker.broker import Broker
from tidelog.broker.errors import BrokerError, UnknownPartition, UnknownTopic
from tidelog.consumer_groups import offset_reset
from tidelog.consumer_groups.classic.membership import CONSUMER_PROTOCOL_TYPE, UNKNOWN_MEMBER_ID
from tidelog.consumer_groups.errors import (
    GroupNotEmpty,
    GroupSubscribed,
    InvalidGroupId,
    MetadataTooLarge,
    UnknownMember,
)
from tidelog.consumer_groups.groups import GROUP_ID_BYTES, Groups
from tidelog.consumer_groups.records import offset_store
from tidelog.consumer_groups.records.group_records import StateRecord
from tidelog.consumer_groups.records.offsets import (
    CommittedOffset,
    OffsetAndMetadata,
    OffsetChange,
    ResetTarget,
    TopicPartition,
)

Offsets = Mapping[TopicPartition, OffsetAndMetadata]


class GroupOffsets:
    def __init__(self, broker: Broker, groups: Groups) -> None:
        self._broker = broker
        self._groups = groups
        self._settings = groups.settings

    # Commit

    async def commit(
        self,
        group: str,
        offsets: Offsets,
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
        self._check_commit(group, offsets, member_id, generation, instance_id)
        for place, offset in offsets.items():
            error = self._refusal(place, offset)
            if error is not None:
                raise error
        await self._commit(group, offsets)

    async def commit_each(
        self,
        group: str,
        offsets: Offsets,
        *,
        member_id: str = UNKNOWN_MEMBER_ID,
        generation: int = -1,
        instance_id: str | None = None,
    ) -> dict[TopicPartition, Exception]:
        """Kafka's way: the good partitions are committed, the error of each bad one returned."""
        self._check_commit(group, offsets, member_id, generation, instance_id)
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
        self,
        name: str,
        places: Iterable[TopicPartition],
        member_id: str,
        generation: int,
        instance_id: str | None,
    ) -> None:
        self._groups.check_ready(name)
        group = self._groups.find(name)
        if group is not None:
            group.check_commit(member_id, generation, instance_id, places)
        elif generation >= 0:
            self._groups.existing(name)
            raise UnknownMember(name, member_id)
        elif len(name.encode()) > GROUP_ID_BYTES:
            raise InvalidGroupId(name)

    def _refusal(self, place: TopicPartition, offset: OffsetAndMetadata) -> Exception | None:
        topic, partition = place
        try:
            self._broker.topic(topic).check_index(partition)
        except (UnknownTopic, UnknownPartition) as error:
            return error
        limit = self._settings.offset_metadata_max_bytes
        if len(offset.metadata) > limit:
            return MetadataTooLarge(len(offset.metadata), limit)
        return None

    async def _commit(self, group: str, offsets: Offsets) -> None:
        if not offsets:
            return
        ids: dict[str, UUID] = {topic: self._broker.topic(topic).id for topic, _ in offsets}
        now_ms = self._broker.clock.now_ms()
        await self._groups.topic.write(group, offset_store.commit(group, offsets, ids, now_ms))
        self._groups.beginnings.commit(group, ((ids[topic], index) for topic, index in offsets))

    # Read

    async def settle(self, group: str) -> None:
        """Return when ``committed`` has what was asked to be committed before this call."""
        await self._groups.topic.settle(group)

    def committed(
        self, group: str, *, member_id: str = UNKNOWN_MEMBER_ID, member_epoch: int = -1
    ) -> dict[TopicPartition, CommittedOffset]:
        """What the group has committed, nothing for a group that does not exist.

        A member of a group of the new protocol may give its epoch; raises UnknownMember or
        StaleMemberEpoch then.
        """
        self._groups.check_ready(group)
        found = self._groups.find(group)
        if found is not None and member_epoch >= 0:
            found.check_fetch(member_id, member_epoch)
        return {
            place: offset
            for place, offset in self._groups.offsets.committed(group).items()
            if self._is_current(place, offset)
        }

    def committed_offset(self, group: str, topic: str, partition: int) -> int | None:
        """One committed offset, None where there is none or it is not known yet."""
        if self._groups.loading:
            return None
        place = (topic, partition)
        offset = self._groups.offsets.committed(group).get(place)
        return offset.offset if offset is not None and self._is_current(place, offset) else None

    def begin(self, group: str, places: Iterable[TopicPartition]) -> None:
        """A consumer has asked for these and is about to begin where nothing is committed.

        Where a log is empty it can only begin at its end.
        """
        if self._groups.find(group) is None:
            return
        begun = {}
        for topic, index in places:
            try:
                partition = self._broker.topic(topic).partition(index)
            except BrokerError:
                continue
            if partition.start_offset == partition.high_watermark:
                begun[partition.topic_id, index] = partition.high_watermark
        self._groups.beginnings.note(group, begun)

    def _is_current(self, place: TopicPartition, offset: CommittedOffset) -> bool:
        """Whether the offset belongs to the topic that now has the name."""
        try:
            topic = self._broker.topic(place[0])
        except UnknownTopic:
            return False
        return offset.topic_id is None or offset.topic_id == topic.id

    # Change

    async def delete(self, group: str, topic: str, partitions: Iterable[int] | None = None) -> None:
        """Forget what is committed for the topic, or for some of its partitions.

        Raises UnknownGroup, GroupSubscribed, and GroupNotEmpty where members are no consumers.
        """
        self._groups.check_ready(group)
        self._groups.existing(group)
        wanted = None if partitions is None else set(partitions)

        def forget() -> Sequence[StateRecord]:
            found = self._groups.existing(group).facts
            if not found.is_empty:
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
        self._groups.check_name(group)
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
        if not force and group is not None and not group.facts.is_empty:
            raise GroupNotEmpty(name)

    async def delete_group(self, group: str) -> None:
        """Forget the group and its offsets. Raises UnknownGroup, GroupNotEmpty."""
        self._groups.check_ready(group)

        def forget() -> Sequence[StateRecord]:
            found = self._groups.existing(group)
            if not found.facts.is_empty:
                raise GroupNotEmpty(group)
            places = list(self._groups.offsets.committed(group))
            return [*offset_store.forget(group, places), *found.tombstones()]

        if not self._groups.existing(group).facts.is_empty:
            raise GroupNotEmpty(group)
        await self._groups.topic.write(group, forget)
        self._groups.beginnings.forget(group)

    # Expire

    async def expire(self) -> None:
        """Forget offsets past their time or of topics that are gone, and groups without any."""
        writes = [
            self._groups.topic.write(name, partial(self._expired, name))
            for name in [group.facts.name for group in self._groups]
            if self._expired(name)
        ]
        if writes:
            await asyncio.wait(writes)

    def _expired(self, name: str) -> Sequence[StateRecord]:
        """The tombstones that are due for a group."""
        group = self._groups.find(name) or self._groups.without_members(name)
        offsets = self._groups.offsets.committed(name)
        now_ms = self._broker.clock.now_ms()
        places = [
            place
            for place, offset in offsets.items()
            if not self._is_current(place, offset)
            or offset_store.is_expired(
                offset,
                group.facts.retained_since_ms(place[0], offset.commit_timestamp_ms),
                self._settings.offsets_retention_ms,
                now_ms,
            )
        ]
        records: list[StateRecord] = list(offset_store.forget(name, places))
        if len(places) == len(offsets) and group.facts.is_disposable:
            records += group.tombstones()
            self._groups.beginnings.forget(name)
        return records
