"""Members that speak the new protocol (KIP-848), and its groups in their own words."""

from __future__ import annotations

from collections.abc import Sequence

from tidelog.consumer_groups import descriptions
from tidelog.consumer_groups.consumer.assignment import SERVER_ASSIGNORS
from tidelog.consumer_groups.consumer.consumer_group import ConsumerGroup
from tidelog.consumer_groups.consumer.heartbeat import (
    JOIN_EPOCH,
    ConsumerHeartbeat,
    ConsumerHeartbeatReply,
)
from tidelog.consumer_groups.errors import UnknownGroup
from tidelog.consumer_groups.groups import Groups
from tidelog.consumer_groups.records.group_records import StateRecord
from tidelog.consumer_groups.records.offsets import ConsumerGroupDescription
from tidelog.consumer_groups.served_consumer import beat

ASSIGNORS = tuple(SERVER_ASSIGNORS)


class ConsumerMembers:
    """ConsumerGroupHeartbeat and ConsumerGroupDescribe."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups

    async def heartbeat(self, heartbeat: ConsumerHeartbeat) -> ConsumerHeartbeatReply:
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
        return ConsumerGroup(heartbeat.group, self._groups.settings), ()

    def describe(self, group: str) -> ConsumerGroupDescription:
        """A group of the new protocol in its own words. Raises UnknownGroup for any other."""
        self._groups.check_ready(group)
        found = self._groups.consumer(group)
        if found is None:
            raise UnknownGroup(group)
        return descriptions.describe_consumer(found, self._groups.broker)

    def has_member(self, group: str, member_id: str) -> bool:
        """Whether this is a member that joined its group by the new protocol."""
        found = self._groups.consumer(group)
        member = None if found is None else found.members.get(member_id)
        return member is not None and not member.is_classic
