"""Who waits for news of a group: a parked poll is woken when its member has a step to take."""

from __future__ import annotations

from dataclasses import dataclass

from tidelog.broker.waiting import DataWaiter
from tidelog.consumer_groups.consumer.consumer_group import ConsumerGroup


class MemberWatches:
    def __init__(self) -> None:
        self._waiters: dict[str, dict[DataWaiter, str]] = {}
        self._open = True

    def of(self, group: str, member_id: str) -> MemberWatch:
        """What a ``DataWaiter`` watches for this member."""
        return MemberWatch(self, group, member_id)

    def add(self, group: str, member_id: str, waiter: DataWaiter) -> None:
        if not self._open:
            waiter.wake()
        self._waiters.setdefault(group, {})[waiter] = member_id

    def remove(self, group: str, waiter: DataWaiter) -> None:
        waiters = self._waiters.get(group, {})
        waiters.pop(waiter, None)
        if not waiters:
            self._waiters.pop(group, None)

    def tell(self, name: str, group: ConsumerGroup | None) -> None:
        """The group has changed, or is gone."""
        for waiter, member_id in self._waiters.get(name, {}).items():
            if group is None or group.awaits_heartbeat(member_id):
                waiter.wake()

    def close(self) -> None:
        """Wake everybody, now and from now on."""
        self._open = False
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.wake()


@dataclass(frozen=True, slots=True)
class MemberWatch:
    watches: MemberWatches
    group: str
    member_id: str

    def add_waiter(self, waiter: DataWaiter) -> None:
        self.watches.add(self.group, self.member_id, waiter)

    def remove_waiter(self, waiter: DataWaiter) -> None:
        self.watches.remove(self.group, waiter)
