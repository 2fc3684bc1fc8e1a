"""Where groups began in partitions of which they have committed nothing yet.

A member of HTTP is known to begin at the offset in its first cursor. Of a Kafka client the broker
only hears that it asks for what is committed; but where a log is empty there is one place to begin,
whatever the client would do otherwise. Kept in memory, within a bound, until the first commit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from tidelog.consumer_groups.records.consumer_group_records import TopicIdPartition

_GROUPS_KEPT = 10_000


class Beginnings:
    def __init__(self) -> None:
        self._groups: OrderedDict[str, dict[TopicIdPartition, int]] = OrderedDict()

    def of(self, group: str) -> Mapping[TopicIdPartition, int]:
        return self._groups.get(group, {})

    def note(self, group: str, places: Mapping[TopicIdPartition, int]) -> None:
        """The group begins at these offsets."""
        if not places:
            return
        self._groups.setdefault(group, {}).update(places)
        self._groups.move_to_end(group)
        if len(self._groups) > _GROUPS_KEPT:
            self._groups.popitem(last=False)

    def commit(self, group: str, places: Iterable[TopicIdPartition]) -> None:
        """What is committed says from now on where the group is."""
        begun = self._groups.get(group)
        if begun is None:
            return
        for place in places:
            begun.pop(place, None)
        if not begun:
            del self._groups[group]

    def forget(self, group: str) -> None:
        """The group is gone."""
        self._groups.pop(group, None)
