"""What can go wrong for a group, a member or a commit. Every class carries its data.

Names follow Kafka's error codes; ``api/errors.py`` maps each to its code and HTTP status.
"""

from __future__ import annotations


class GroupError(Exception):
    """Base of everything this package raises."""


class InvalidGroupId(GroupError):
    """The group's name is empty where a name is needed, or too long."""

    def __init__(self, group: str) -> None:
        super().__init__(f"group id {group!r} is not valid: 1 to 32767 bytes are expected")
        self.group = group


class GroupNotAuthorized(GroupError):
    """The caller may not do that to a group of this name, whether there is one or not."""

    def __init__(self, group: str) -> None:
        super().__init__(f"not authorized for group {group!r}")
        self.group = group


class UnknownGroup(GroupError):
    """There is no such group (or it is of another kind than the request is for)."""

    def __init__(self, group: str) -> None:
        super().__init__(f"there is no group {group!r}")
        self.group = group


class UnknownMember(GroupError):
    """The member is not, or no longer, in the group and has to join again."""

    def __init__(self, group: str, member: str) -> None:
        super().__init__(f"group {group!r} has no member {member!r}")
        self.group = group
        self.member = member


class IllegalGeneration(GroupError):
    """The member speaks for another generation than the group's present one."""

    def __init__(self, group: str, generation: int, current: int) -> None:
        super().__init__(f"group {group!r} is at generation {current}, not {generation}")
        self.group = group
        self.generation = generation
        self.current = current


class RebalanceInProgress(GroupError):
    """The group is between generations: the member has to join again."""

    def __init__(self, group: str) -> None:
        super().__init__(f"group {group!r} is rebalancing")
        self.group = group


class GroupNotEmpty(GroupError):
    """Only a group without members can be deleted or reset."""

    def __init__(self, group: str) -> None:
        super().__init__(f"group {group!r} still has members")
        self.group = group


class GroupSubscribed(GroupError):
    """Offsets of a topic that members are subscribed to cannot be deleted."""

    def __init__(self, group: str, topic: str) -> None:
        super().__init__(f"members of group {group!r} are subscribed to topic {topic!r}")
        self.group = group
        self.topic = topic


class GroupFull(GroupError):
    """The group has ``group.max.size`` members."""

    def __init__(self, group: str, limit: int) -> None:
        super().__init__(f"group {group!r} has reached its {limit} members")
        self.group = group
        self.limit = limit


class MemberIdRequired(GroupError):
    """A new dynamic member joins in two steps; it comes back with ``member_id``."""

    def __init__(self, member_id: str) -> None:
        super().__init__(f"join again with member id {member_id!r}")
        self.member_id = member_id


class FencedInstance(GroupError):
    """Another member has taken this static member's place (KIP-345)."""

    def __init__(self, group: str, instance_id: str) -> None:
        super().__init__(f"another member of group {group!r} took instance id {instance_id!r}")
        self.group = group
        self.instance_id = instance_id


class InconsistentProtocol(GroupError):
    """The member's protocol type or protocols do not agree with the group's."""

    def __init__(self, group: str, reason: str) -> None:
        super().__init__(f"group {group!r}: {reason}")
        self.group = group
        self.reason = reason


class InvalidSessionTimeout(GroupError):
    """The session timeout lies outside the broker's bounds."""

    def __init__(self, session_timeout_ms: int, minimum_ms: int, maximum_ms: int) -> None:
        super().__init__(
            f"session timeout {session_timeout_ms} ms is not within "
            f"{minimum_ms} to {maximum_ms} ms (group.min.session.timeout.ms, "
            "group.max.session.timeout.ms)"
        )
        self.session_timeout_ms = session_timeout_ms
        self.minimum_ms = minimum_ms
        self.maximum_ms = maximum_ms


class MetadataTooLarge(GroupError):
    """The text committed beside an offset is too long."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"offset metadata of {size} characters exceeds {limit} (offset.metadata.max.bytes)"
        )
        self.size = size
        self.limit = limit


class InvalidHeartbeat(GroupError):
    """A heartbeat of the new protocol that contradicts itself or leaves out what it must say."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class FencedMemberEpoch(GroupError):
    """The member's epoch is not the one it should be at; it gives up everything and rejoins."""

    def __init__(self, group: str, member: str, epoch: int, current: int) -> None:
        super().__init__(
            f"member {member!r} of group {group!r} is at epoch {current}, not {epoch}; it has to "
            "give up its partitions and join again"
        )
        self.group = group
        self.member = member
        self.epoch = epoch
        self.current = current


class StaleMemberEpoch(GroupError):
    """The member has to learn its new epoch by a heartbeat before it may do this."""

    def __init__(self, group: str, member: str, epoch: int, current: int) -> None:
        super().__init__(
            f"member {member!r} of group {group!r} is at epoch {current} by now, not {epoch}"
        )
        self.group = group
        self.member = member
        self.epoch = epoch
        self.current = current


class UnreleasedInstance(GroupError):
    """The instance id is in use; its member has to leave or time out first."""

    def __init__(self, group: str, instance_id: str, member: str) -> None:
        super().__init__(f"instance id {instance_id!r} of group {group!r} is used by {member!r}")
        self.group = group
        self.instance_id = instance_id
        self.member = member


class UnsupportedAssignor(GroupError):
    """The broker has no such assignor."""

    def __init__(self, assignor: str, supported: tuple[str, ...]) -> None:
        super().__init__(
            f"assignor {assignor!r} is not supported; there are {', '.join(supported)}"
        )
        self.assignor = assignor
        self.supported = supported


class InvalidRegularExpression(GroupError):
    """A subscription's regular expression is none that RE2 knows."""

    def __init__(self, regex: str, reason: str) -> None:
        super().__init__(f"{regex!r} is not a valid regular expression (RE2): {reason}")
        self.regex = regex
        self.reason = reason


class InvalidCursor(GroupError):
    """The cursor was not given to this member, or was damaged on its way."""

    def __init__(self, group: str, member: str) -> None:
        super().__init__(f"the cursor was not given to member {member!r} of group {group!r}")
        self.group = group
        self.member = member


class PartitionNotOwned(GroupError):
    """A member commits only what is assigned to it."""

    def __init__(self, group: str, member: str, topic: str, partition: int) -> None:
        super().__init__(
            f"{topic}-{partition} is not assigned to member {member!r} of group {group!r}"
        )
        self.group = group
        self.member = member
        self.topic = topic
        self.partition = partition


class InvalidReset(GroupError):
    """The target of an offset reset makes no sense."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class JoinKeyReused(GroupError):
    """A join came again with the key of another one that asked for something else."""

    def __init__(self, group: str, member: str, key: str) -> None:
        super().__init__(
            f"Idempotency-Key {key!r} is that of member {member!r} of group {group!r}, which "
            "joined with another request: repeat that as it was, or choose another key"
        )
        self.group = group
        self.member = member
        self.idempotency_key = key


class CoordinatorLoading(GroupError):
    """Groups are still being read back from the log; try again."""

    def __init__(self, loaded: int = 0, total: int = 0) -> None:
        super().__init__(f"groups are still loading: {loaded} of {total} records")
        self.loaded = loaded
        self.total = total


class CoordinatorUnavailable(GroupError):
    """The coordinator is stopping or could not write; ``reason`` says which."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the group coordinator is not available: {reason}")
        self.reason = reason
