"""The group coordinator: what doors call.

Every method raises CoordinatorLoading after a start until the offsets topic is applied, and
CoordinatorUnavailable once the broker stops or cannot write.

Members are answered when what they changed is durable. ``GroupOffsets`` has the methods about
offsets, ``hosted`` those of members that HTTP callers are.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

from tidelog.broker.broker import Broker
from tidelog.broker.passes import Passes
from tidelog.consumer_groups import descriptions
from tidelog.consumer_groups.any_group import AnyGroup
from tidelog.consumer_groups.assignment import SERVER_ASSIGNORS
from tidelog.consumer_groups.classic.membership import (
    UNKNOWN_MEMBER_ID,
    HeartbeatRequest,
    JoinReply,
    JoinRequest,
    LeavingMember,
    LeftMember,
    SyncReply,
    SyncRequest,
)
from tidelog.consumer_groups.commits import GroupOffsets
from tidelog.consumer_groups.consumer.consumer_group import ConsumerGroup
from tidelog.consumer_groups.consumer.heartbeat import (
    JOIN_EPOCH,
    ConsumerHeartbeat,
    ConsumerHeartbeatReply,
)
from tidelog.consumer_groups.errors import (
    UnknownGroup,
    UnknownMember,
)
from tidelog.consumer_groups.groups import Groups, Kind
from tidelog.consumer_groups.hosted_members import HostedMembers
from tidelog.consumer_groups.lag import Lag
from tidelog.consumer_groups.offsets import (
    ConsumerGroupDescription,
    GroupDescription,
    GroupOverview,
    PartitionLag,
)
from tidelog.consumer_groups.own_settings import OwnSettings
from tidelog.consumer_groups.records.group_records import StateRecord
from tidelog.consumer_groups.served_classic import ServedClassic
from tidelog.consumer_groups.served_consumer import ServedConsumer, beat

ASSIGNORS = tuple(SERVER_ASSIGNORS)
KINDS: tuple[Kind, ...] = (ServedClassic, ServedConsumer)
"""Of groups that there are."""
_GROUPS_AT_ONCE = 100
"""Between two of them the loop serves others."""


class Coordinator:
    """Construct, ``start``, serve, ``close``; in the event loop of its broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._groups = Groups(broker, KINDS)
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
            self._lag.begin(group, self._groups.offsets.committed(group.facts.name).keys())
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
        new_id = f"{request.instance_id or request.client_id}-{self._broker.environment.new_id()}"
        return await group.join(request, new_id)

    async def _group_to_join(self, request: JoinRequest) -> AnyGroup:
        """The group, made for a new member."""
        found = self._groups.find(request.group)
        while found is not None and found.gives_way:
            await self._groups.topic.write_now(request.group, found.tombstones())
            found = self._groups.find(request.group)
        if found is not None:
            return found
        if request.member_id != UNKNOWN_MEMBER_ID:
            raise UnknownMember(request.group, request.member_id)
        group = self._groups.without_members(request.group)
        self._groups.add(group)
        return group

    async def sync(self, request: SyncRequest) -> SyncReply:
        """Waits for the leader's assignment.

        Raises UnknownMember, FencedInstance, IllegalGeneration, RebalanceInProgress,
        InconsistentProtocol.
        """
        return await self._member_group(request.group, request.member_id).sync(request)

    def heartbeat(self, request: HeartbeatRequest) -> None:
        """Raises RebalanceInProgress, UnknownMember, FencedInstance, IllegalGeneration."""
        self._member_group(request.group, request.member_id).heartbeat(request)

    async def leave(self, group: str, members: Sequence[LeavingMember]) -> list[LeftMember]:
        """Each member is answered for itself."""
        self._groups.check_name(group)
        found = self._groups.find(group)
        if found is None:
            return [
                LeftMember(one.member_id, one.instance_id, UnknownMember(group, one.member_id))
                for one in members
            ]
        return await found.leave(members)

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
        group, before = self._group_to_beat(heartbeat)
        return await beat(self._groups, group, heartbeat, before)

    def _group_to_beat(
        self, heartbeat: ConsumerHeartbeat
    ) -> tuple[ConsumerGroup, Sequence[StateRecord]]:
        """The group, and what has to be written before its first record."""
        found = self._groups.find(heartbeat.group)
        if found is not None:
            return found.to_beat(heartbeat)
        if heartbeat.member_epoch != JOIN_EPOCH:
            raise UnknownGroup(heartbeat.group)
        return ConsumerGroup(heartbeat.group, self._settings), ()

    # Groups of every kind

    def groups(self) -> list[GroupOverview]:
        """Every group, by name."""
        self._groups.check_ready()
        return sorted(map(descriptions.overview, self._groups))

    def describe(self, group: str) -> GroupDescription:
        """Raises UnknownGroup."""
        self._groups.check_ready(group)
        return self._groups.existing(group).describe()

    def describe_consumer(self, group: str) -> ConsumerGroupDescription:
        """A group of the new protocol in its own words. Raises UnknownGroup for any other."""
        self._groups.check_ready(group)
        found = self._groups.consumer(group)
        if found is None:
            raise UnknownGroup(group)
        return descriptions.describe_consumer(found, self._broker)

    def speaks_new_protocol(self, group: str, member_id: str) -> bool:
        """Whether this is a member that joined its group by the new protocol."""
        found = self._groups.consumer(group)
        member = None if found is None else found.members.get(member_id)
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
