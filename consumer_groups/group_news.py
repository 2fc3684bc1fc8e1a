"""What the log tells of groups: rebalances, and members that come, go and fall silent.

Whoever changes a group lets it be looked at; what is as it was when it was last told of, as after
every heartbeat, is not told again.
"""

from __future__ import annotations

import logging

from tidelog.consumer_groups.consumer_group import ConsumerGroup
from tidelog.consumer_groups.group import Group
from tidelog.consumer_groups.rebalance import State

_log = logging.getLogger("tidelog.groups")


class GroupNews:
    """Of all groups; ``silent`` while they are loaded, which is no news."""

    def __init__(self) -> None:
        self.silent = True
        self._seen: dict[str, tuple[State | None, int]] = {}

    def look_at(self, group: Group | ConsumerGroup) -> None:
        """The group may have changed."""
        now: tuple[State | None, int]
        if isinstance(group, Group):
            now = group.state, group.generation
        else:
            now = State.EMPTY if group.is_empty else None, group.epoch.epoch
        before = self._seen.get(group.name)
        if now == before:
            return
        self._seen[group.name] = now
        if self.silent:
            return
        text = _classic(group, before) if isinstance(group, Group) else _new(group)
        if text:
            _log.info("group %s %s", group.name, text, extra={"group": group.name})

    def forget(self, name: str) -> None:
        """The group is gone; one that had members is told of."""
        if self._seen.pop(name, None) is not None and not self.silent:
            _log.info("group %s is gone", name, extra={"group": name})

    def given_up(self, group: str, member: str) -> None:
        """A member was silent for too long, or did not join again in time."""
        _log.info(
            "group %s: member %s was not heard of in time and is given up",
            *(group, member),
            extra={"group": group, "member": member},
        )


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
