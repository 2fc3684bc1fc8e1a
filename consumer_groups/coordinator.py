"""The group coordinator: what doors call.

Every method raises CoordinatorLoading after a start until the offsets topic is applied, and
CoordinatorUnavailable once the broker stops or cannot write.

Requests of classic members become commands of ``Group``; those that have to wait are parked as
futures, which are the group's tickets. Heartbeats of the new protocol become records. Both are
answered when what they changed is durable. ``GroupOffsets`` has the methods about offsets,
``hosted`` those of members that HTTP callers are.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from uuid import uuid4

from tidelog.broker.broker import Broker
from tidelog.broker.passes import Passes
from tidelog.consumer_groups import (
    classic_member,
    consumer_rebalance,
    descriptions,
    migration,
)
from tidelog.consumer_groups.assignment import SERVER_ASSIGNORS
from tidelog.consumer_groups.consumer_group import ConsumerGroup
from tidelog.consumer_groups.consumer_heartbeat import (
    JOIN_EPOCH,
    ConsumerHeartbeat,
    ConsumerHeartbeatReply,
)
from tidelog.consumer_groups.errors import (
    InconsistentProtocol,
    UnknownGroup,
    UnknownMember,
)
from tidelog.consumer_groups.group_offsets import GroupOffsets
from tidelog.consumer_groups.group_records import GroupRecord, StateRecord
from tidelog.consumer_groups.groups import AnyGroup, Groups
from tidelog.consumer_groups.hosted_members import HostedMembers
from tidelog.consumer_groups.lag import Lag
from tidelog.consumer_groups.membership import (
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
    ConsumerGroupDescription,
    GroupDescription,
    GroupOverview,
    PartitionLag,
)
from tidelog.consumer_groups.own_settings import OwnSettings

ASSIGNORS = tuple(SERVER_ASSIGNORS)
_GROUPS_AT_ONCE = 100
"""Between two of them the loop serves others."""


class Coordinator:
    """Construct, ``start``, serve, ``close``; in the event loop of its broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._groups = Groups(broker)
        self._settings = self._groups.settings
        self._lag = Lag(broker, self._groups.beginnings)
        self._loading: asyncio.Task[None] | None = None
        self._expiry: asyncio.Task[None] | None = None
        self._passes = Passes(broker.clock)
        self.caught_up = self._passes.caught_up
        offsets = GroupOffsets(broker, self._groups)
        self.begin = offsets.begin
        self.commit = offsets.commit
        self.commit_each = offsets.commit_each
        self.settle = offsets.settle
        self.committed = offsets.committed
        self.committed_offset = offsets.committed_offset
        self.reset = offsets.reset
        self.delete = offsets.delete
        self.delete_offsets = offsets.delete_offsets
        self.expire_offsets = offsets.expire
        self.hosted = HostedMembers(broker, self._groups, offsets, self.consumer_heartbeat)
        broker.committed_offset = offsets.committed_offset

    @property
    def loading(self) -> bool:
        return self._groups.loading

    def failures(self) -> dict[int | None, str]:
        """Why groups cannot be served, by the offsets topic's partition; None: no group can."""
        if self._groups.failure is not None:
            return {None: self._groups.failure}
        return self._groups.topic.unreadable

    async def start(self) -> None:
        """Begin to load; returns at once."""
        self._groups.start()
        self._loading = asyncio.ensure_future(self._load())
        self._expiry = asyncio.ensure_future(self._repeat_expiry())

    async def loaded(self) -> None:
        """Return when loading is done; raises what kept the groups from being read."""
        assert self._loading is not None, "start comes first"
        await asyncio.shield(self._loading)

    async def _load(self) -> None:
        """What is empty may not be so when somebody asks for lag."""
        await self._groups.loaded()
        for number, group in enumerate(self._groups, 1):
            self._lag.begin(group, self._groups.offsets.committed(group.name).keys())
            if number % _GROUPS_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def topic_exists(self) -> None:
        """Return when the offsets topic is there, or still being loaded.

        Raises CoordinatorUnavailable where it cannot be created.
        """
        if not self.loading:
            await self._groups.topic.exists()

    def stop_waiting(self) -> None:
        """Let everybody go who waits for a rebalance; the rest still works until ``close``."""
        self._groups.stop_waiting()

    async def close(self) -> None:
        """Finish what is being written. The broker closes after it."""
        if self._expiry is not None:
            self._expiry.cancel()
        await self._groups.close()
        if self._loading is not None:
            self._loading.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._loading

    def expire_members(self) -> None:
        """Do what is due by the clock; a timer calls this, tests may."""
        self._groups.expire()

    async def _repeat_expiry(self) -> None:
        while True:
            await self._passes.until_next(self._settings.offsets_retention_check_interval_ms)
            if not self.loading:
                await self.expire_offsets()

    # Members of classic groups

    async def join(self, request: JoinRequest) -> JoinReply:
        """Waits until the group has a new generation; one of the new protocol has it at once.

        Raises MemberIdRequired (come back with its id), UnknownMember, FencedInstance,
        InconsistentProtocol, GroupFull, InvalidSessionTimeout, InvalidGroupId.
        """
        self._groups.check_name(request.group)
        self._settings.check_session_timeout(request.session_timeout_ms)
        group = await self._group_to_join(request)
        new_id = f"{request.instance_id or request.client_id}-{uuid4()}"
        if isinstance(group, ConsumerGroup):
            return await self._join_new(group, request, new_id)
        ticket: asyncio.Future[JoinReply] = asyncio.get_running_loop().create_future()
        outcome = group.join(request, ticket, new_id, self._groups.now_ms())
        self._groups.carry_out(group, outcome)
        return await self._groups.wait(ticket)

    async def _group_to_join(self, request: JoinRequest) -> AnyGroup:
        """The group, made for a new member; an empty one of the new protocol gives way."""
        found = self._groups.find(request.group)
        while isinstance(found, ConsumerGroup) and found.is_empty:
            await self._groups.topic.write_now(found.name, found.tombstones())
            found = self._groups.find(request.group)
        if found is not None:
            return found
        if request.member_id != UNKNOWN_MEMBER_ID:
            raise UnknownMember(request.group, request.member_id)
        return self._groups.create(request.group)

    async def _join_new(self, group: ConsumerGroup, request: JoinRequest, new_id: str) -> JoinReply:
        if not self._groups.settings.may_mix:
            raise InconsistentProtocol(group.name, "it takes no classic members")
        heartbeat = classic_member.heartbeat_of(group, request, new_id, self._groups.topics_now())
        reply = await self._beat(group, heartbeat)
        return classic_member.join_reply(request, reply)

    async def sync(self, request: SyncRequest) -> SyncReply:
        """Waits for the leader's assignment.

        Raises UnknownMember, FencedInstance, IllegalGeneration, RebalanceInProgress,
        InconsistentProtocol.
        """
        group = self._member_group(request.group, request.member_id)
        if isinstance(group, ConsumerGroup):
            topics, now_ms = self._groups.topics_now(), self._groups.now_ms()
            return classic_member.sync(group, request, topics, now_ms)
        ticket: asyncio.Future[SyncReply] = asyncio.get_running_loop().create_future()
        self._groups.carry_out(group, group.sync(request, ticket))
        return await self._groups.wait(ticket)

    def heartbeat(self, request: HeartbeatRequest) -> None:
        """Raises RebalanceInProgress, UnknownMember, FencedInstance, IllegalGeneration."""
        group = self._member_group(request.group, request.member_id)
        if isinstance(group, ConsumerGroup):
            classic_member.beat(group, request, self._groups.now_ms())
            self._groups.watch(group)
        else:
            group.heartbeat(request, self._groups.now_ms())

    async def leave(self, group: str, members: Sequence[LeavingMember]) -> list[LeftMember]:
        """Each member is answered for itself."""
        self._groups.check_name(group)
        found = self._groups.find(group)
        if found is None:
            return [
                LeftMember(one.member_id, one.instance_id, UnknownMember(group, one.member_id))
                for one in members
            ]
        if isinstance(found, ConsumerGroup):
            return await self._leave_new(found, members)
        left, outcome = found.leave(members, self._groups.now_ms())
        self._groups.carry_out(found, outcome)
        return left

    async def _leave_new(
        self, group: ConsumerGroup, members: Sequence[LeavingMember]
    ) -> list[LeftMember]:
        topics = self._groups.topics_now()
        left, gone = classic_member.leave(group, members)
        records = consumer_rebalance.forget(group, gone, topics)
        done = self._groups.change(group.name, records, topics)
        if done is not None:
            await done
        return left

    def _member_group(self, name: str, member_id: str) -> AnyGroup:
        self._groups.check_name(name)
        group = self._groups.find(name)
        if group is None:
            raise UnknownMember(name, member_id)
        return group

    # Members of groups of the new protocol

    async def consumer_heartbeat(self, heartbeat: ConsumerHeartbeat) -> ConsumerHeartbeatReply:
        """A member joins, lives, gives up and gets partitions, or leaves (KIP-848).

        Raises InvalidHeartbeat, UnsupportedAssignor, UnknownGroup, UnknownMember, GroupFull,
        FencedMemberEpoch, FencedInstance, UnreleasedInstance, InvalidRegularExpression.
        """
        self._groups.check_ready()
        heartbeat.check(ASSIGNORS)
        self._groups.check_name(heartbeat.group)
        await self._groups.topic.exists()
        group, records = self._group_to_beat(heartbeat)
        return await self._beat(group, heartbeat, records)

    async def _beat(
        self,
        group: ConsumerGroup,
        heartbeat: ConsumerHeartbeat,
        before: Sequence[StateRecord] = (),
    ) -> ConsumerHeartbeatReply:
        """``before`` is what has to be written with the heartbeat's own records."""
        topics, wall_ms = self._groups.topics_now(), self._broker.clock.now_ms()
        settings = self._groups.own_settings.obeyed_by(group.name)
        group.use_settings(settings)
        decision = consumer_rebalance.beat(group, heartbeat, topics, settings, wall_ms)
        done = self._groups.change(group.name, [*before, *decision.records], topics)
        changed = self._groups.find(group.name)
        if isinstance(changed, ConsumerGroup):
            self._hear(changed, heartbeat, all_members=bool(before))
        if done is not None:
            await done
        return decision.reply

    def _hear(
        self, group: ConsumerGroup, heartbeat: ConsumerHeartbeat, *, all_members: bool
    ) -> None:
        now_ms = self._groups.now_ms()
        if all_members:
            group.resume(now_ms, self._broker.clock.now_ms())
        group.hear(heartbeat.member_id, now_ms)
        if heartbeat.classic is not None:
            classic_member.joined(group, heartbeat.member_id, now_ms)
        self._groups.watch(group)

    def _group_to_beat(
        self, heartbeat: ConsumerHeartbeat
    ) -> tuple[ConsumerGroup, list[StateRecord]]:
        """The group, and what has to be written before its first record.

        A classic group gives way: an empty one is forgotten, others go on in the new protocol.
        A member that slept through a change back to classic has to join again; it would take
        Kafka's answer, that there is no such group, for the end.
        """
        found = self._groups.find(heartbeat.group)
        if isinstance(found, ConsumerGroup):
            return found, []
        if heartbeat.member_epoch != JOIN_EPOCH:
            if found is None:
                raise UnknownGroup(heartbeat.group)
            raise UnknownMember(heartbeat.group, heartbeat.member_id)
        group = ConsumerGroup(heartbeat.group, self._settings)
        if found is None:
            return group, []
        before: list[StateRecord] = [GroupRecord(found.name, None)]
        if not found.is_empty:
            topics, wall_ms = self._groups.topics_now(), self._broker.clock.now_ms()
            for record in migration.upgraded(found, topics, self._settings, wall_ms):
                group.apply(record)
                before.append(record)
        return group, before

    # Groups of both kinds

    def groups(self) -> list[GroupOverview]:
        """Every group, by name."""
        self._groups.check_ready()
        return sorted(map(descriptions.overview, self._groups))

    def describe(self, group: str) -> GroupDescription:
        """Raises UnknownGroup."""
        self._groups.check_ready(group)
        return descriptions.describe(self._groups.existing(group), self._broker)

    def describe_consumer(self, group: str) -> ConsumerGroupDescription:
        """A group of the new protocol in its own words. Raises UnknownGroup for any other."""
        self._groups.check_ready(group)
        found = self._groups.find(group)
        if not isinstance(found, ConsumerGroup):
            raise UnknownGroup(group)
        return descriptions.describe_consumer(found, self._broker)

    def speaks_new_protocol(self, group: str, member_id: str) -> bool:
        """Whether this is a member that joined its group by the new protocol."""
        found = self._groups.find(group)
        member = found.members.get(member_id) if isinstance(found, ConsumerGroup) else None
        return member is not None and not member.is_classic

    def settings_of(self, group: str) -> OwnSettings:
        """Settings of the group, which need not exist."""
        self._groups.check_ready()
        return self._groups.own_settings.of(group)

    async def alter_settings(
        self, group: str, changes: Mapping[str, str | None], *, validate_only: bool = False
    ) -> None:
        """Change settings of the group; None resets one. Raises InvalidSetting."""
        self._groups.check_ready()
        await self._groups.own_settings.alter(group, changes, validate_only=validate_only)

    def groups_with_settings(self) -> list[str]:
        """Those with settings of their own, by name."""
        self._groups.check_ready()
        return list(self._groups.own_settings)

    async def lag(self, group: str) -> list[PartitionLag]:
        """How far the group is behind, per partition, in order. Raises UnknownGroup."""
        self._groups.check_ready(group)
        return await self._lag.of(self._groups.existing(group), self.committed(group))
