"""What the log tells of groups: rebalances, and members that come, go and fall silent.

Whoever changes a group lets it be looked at; what is as it was when it was last told of, as after
every heartbeat, is not told again.
"""

from __future__ import annotations

import logging

from tidelog.consumer_groups.classic.classic_group import Group
from tidelog.consumer_groups.classic.rebalance import State
from tidelog.consumer_groups.consumer.consumer_group import ConsumerGroup

_log = logging.getLogger("tidelog.groups")


class GroupNews:
    """Of all groups; ``silent`` while they are loaded, which is no news."""

    def __init__(self) -> None:
        self.silent = True
        self._seen: dict[str, tuple[State | None, int]] = {}

    def look_at_classic(self, group: Group) -> None:
        """The group may have changed."""
        now = group.state, group.generation
        before = self._seen.get(group.name)
        if self._changed(group.name, now) and (text := _classic(group, before)):
            _tell(group.name, text)

    def look_at_consumer(self, group: ConsumerGroup) -> None:
        """The group may have changed."""
        state = State.EMPTY if group.is_empty else None
        if self._changed(group.name, (state, group.epoch.epoch)):
            _tell(group.name, _new(group))

    def _changed(self, name: str, now: tuple[State | None, int]) -> bool:
        """Whether there is anything to tell."""
        if self._seen.get(name) == now:
            return False
        self._seen[name] = now
        return not self.silent

    def forget(self, name: str) -> None:
        """The group is gone; one that had members is told of."""
        if self._seen.pop(name, None) is not None and not self.silent:
            _tell(name, "is gone")

    def given_up(self, group: str, member: str) -> None:
        """A member was silent for too long, or did not join again in time."""
        _log.info(
            "group %s: member %s was not heard of in time and is given up",
            *(group, member),
            extra={"group": group, "member": member},
        )


def _tell(group: str, text: str) -> None:
    _log.info("group %s %s", group, text, extra={"group": group})


def _classic(group: Group, before: tuple[State | None, int] | None) -> str:
    match group.state:
        case State.PREPARING:
            ends = f", generation {group.generation} ends" if group.generation else ""
            return f"rebalances{ends}: {_members(len(group.members))}"
        case State.STABLE:
            return f"is stable in generation {group.generation}: {_members(len(group.members))}"
        case State.EMPTY if before is not None:
            return f"has no members any more after generation {group.generation}"
    return ""


def _new(group: ConsumerGroup) -> str:
    epoch = group.epoch.epoch
    if group.is_empty:
        return f"has no members any more in epoch {epoch}"
    return f"is in epoch {epoch}: {_members(len(group.members))}"


def _members(count: int) -> str:
    return "1 member" if count == 1 else f"{count} members"
