"""Members that speak the classic protocol, whatever kind their group is of.

Those that have to wait are parked by their group; it answers when what they changed is durable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tidelog.consumer_groups.any_group import AnyGroup
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
from tidelog.consumer_groups.errors import UnknownMember
from tidelog.consumer_groups.groups import Groups


class ClassicMembers:
    """JoinGroup, SyncGroup, Heartbeat and LeaveGroup."""

    def __init__(self, groups: Groups, new_id: Callable[[], object]) -> None:
        self._groups = groups
        self._new_id = new_id

    async def join(self, request: JoinRequest) -> JoinReply:
        """Waits until the group has a new generation; one of the new protocol has it at once.

        Raises MemberIdRequired (come back with its id), UnknownMember, FencedInstance,
        InconsistentProtocol, GroupFull, InvalidSessionTimeout, InvalidGroupId.
        """
        self._groups.check_name(request.group)
        self._groups.settings.check_session_timeout(request.session_timeout_ms)
        group = await self._group_to_join(request)
        new_id = f"{request.instance_id or request.client_id}-{self._new_id()}"
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
