"""All groups of the broker in memory: loaded from the offsets topic, kept in time, written back.

Commands of a group end in an ``Outcome``; here replies go to the futures that wait for them and
metadata to the topic. One timer runs, for the earliest deadline of any group. After a start the
topic is applied in the background; ``check_ready`` raises CoordinatorLoading until that is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from functools import partial
from typing import Any, TypeVar

from tidelog.broker.broker import Broker
from tidelog.consumer_groups.deadlines import Deadlines
from tidelog.consumer_groups.errors import (
    CoordinatorLoading,
    CoordinatorUnavailable,
    GroupError,
    UnknownGroup,
)
from tidelog.consumer_groups.group import Group
from tidelog.consumer_groups.group_records import (
    GroupMetadata,
    GroupRecord,
    OffsetRecord,
    StateRecord,
)
from tidelog.consumer_groups.member import NEVER_MS
from tidelog.consumer_groups.offset_store import OffsetStore
from tidelog.consumer_groups.offsets_topic import OffsetsTopic
from tidelog.consumer_groups.rebalance import Outcome, State, Store
from tidelog.consumer_groups.settings import GroupSettings

R = TypeVar("R")
_log = logging.getLogger("tidelog.groups")


class Groups:
    """Settings are those of the broker at construction."""

    def __init__(self, broker: Broker) -> None:
        self.settings = GroupSettings.of(broker.settings)
        self.offsets = OffsetStore()
        self.topic = OffsetsTopic(broker, self.settings, self._apply)
        self.loading = True
        self._clock = broker.clock
        self._groups: dict[str, Group] = {}
        self._restored: dict[str, GroupMetadata] = {}
        self._load: asyncio.Task[None] | None = None
        self._stopping = False
        self._closing = False
        self._parked: set[asyncio.Future[Any]] = set()
        self._deadlines: Deadlines[str] = Deadlines()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms = NEVER_MS

    # Starting and stopping

    def start(self) -> None:
        """Begin to apply the topic."""
        self._load = asyncio.ensure_future(self._load_topic())

    async def loaded(self) -> None:
        """Return when the topic is applied; raises what kept it from being read."""
        assert self._load is not None, "start comes first"
        await asyncio.shield(self._load)

    async def _load_topic(self) -> None:
        try:
            await self.topic.load()
        except Exception:
            _log.exception("the offsets topic could not be read; groups stay unavailable")
            raise
        self.loading = False
        now_ms = self.now_ms()
        for name, metadata in self._restored.items():
            group = self._groups[name] = Group.restore(name, metadata, self.settings)
            self.carry_out(group, group.resume(now_ms))
        self._restored.clear()

    def stop_waiting(self) -> None:
        """Let everybody go who waits for a rebalance, and let nobody wait from now on."""
        self._stopping = True
        for future in list(self._parked):
            if not future.done():
                future.set_exception(_stopping())

    async def close(self) -> None:
        """Finish what is being written."""
        self.stop_waiting()
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        if self._load is not None:
            self._load.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._load
        await self.topic.drain()

    def check_ready(self) -> None:
        if self._closing:
            raise _stopping()
        if self.loading:
            raise CoordinatorLoading(self.topic.loaded, self.topic.total)

    # Groups

    def __iter__(self) -> Iterator[Group]:
        """Every group, those included that only have offsets."""
        yield from list(self._groups.values())
        for name in list(self.offsets.groups()):
            if name not in self._groups:
                yield Group(name, self.settings)

    def find(self, name: str) -> Group | None:
        """The group, if anybody has joined it."""
        return self._groups.get(name)

    def existing(self, name: str) -> Group:
        """Raises UnknownGroup; a group that only has offsets is one without members."""
        group = self._groups.get(name)
        if group is None:
            if not self.offsets.committed(name):
                raise UnknownGroup(name)
            group = Group(name, self.settings)
        return group

    def create(self, name: str) -> Group:
        """The group, made if it does not exist."""
        return self._groups.setdefault(name, Group(name, self.settings))

    # What commands lead to

    async def wait(self, future: asyncio.Future[R]) -> R:
        """Park until the group has a reply for this ticket."""
        if self._stopping and not future.done():
            raise _stopping()
        self._parked.add(future)
        try:
            return await future
        finally:
            self._parked.discard(future)

    def carry_out(self, group: Group, outcome: Outcome) -> None:
        """Send replies, write metadata, see to the group's clock."""
        for ticket, result in outcome.replies:
            assert isinstance(ticket, asyncio.Future)
            if ticket.done():
                continue
            if isinstance(result, GroupError):
                ticket.set_exception(result)
            else:
                ticket.set_result(result)
        for store in outcome.stores:
            metadata = store.metadata._replace(state_timestamp_ms=self._clock.now_ms())
            done = self.topic.write(group.name, [GroupRecord(group.name, metadata)])
            done.add_done_callback(partial(self._stored, group, store))
        if group.generation == 0 and group.is_disposable and not outcome.stores:
            self._forget(group.name)
        else:
            self.watch(group)

    def _stored(self, group: Group, store: Store, done: asyncio.Future[None]) -> None:
        error = None if done.cancelled() else done.exception()
        if error is None:
            outcome = group.stored(store, self.now_ms())
        else:
            outcome = group.store_failed(store, str(error), self.now_ms())
        if group.state is not State.DEAD:
            self.carry_out(group, outcome)

    def _apply(self, record: StateRecord) -> None:
        if isinstance(record, OffsetRecord):
            self.offsets.apply(record)
        elif not isinstance(record, GroupRecord):
            return
        elif self.loading:
            if record.value is None:
                self._restored.pop(record.group, None)
            else:
                self._restored[record.group] = record.value
        elif record.value is None:
            self._forget(record.group)
        elif (group := self._groups.get(record.group)) is not None:
            group.state_timestamp_ms = record.value.state_timestamp_ms

    def _forget(self, name: str) -> None:
        group = self._groups.pop(name, None)
        self._deadlines.forget(name)
        if group is not None:
            group.kill()

    # Time

    def now_ms(self) -> int:
        """The steady clock of the groups."""
        return self._clock.monotonic_ms()

    def watch(self, group: Group) -> None:
        """The group may be due at another time now."""
        self._deadlines.set(group.name, group.wake_ms)
        self._schedule()

    def _schedule(self) -> None:
        next_ms = self._deadlines.next_ms()
        if self._closing or next_ms >= self._timer_ms:
            return
        if self._timer is not None:
            self._timer.cancel()
        delay_s = max(next_ms - self.now_ms(), 0) / 1000
        self._timer_ms = next_ms
        self._timer = asyncio.get_running_loop().call_later(delay_s, self.expire)

    def expire(self) -> None:
        """Do what is due in any group."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_ms = None, NEVER_MS
        now_ms = self.now_ms()
        for name in self._deadlines.due(now_ms):
            group = self._groups.get(name)
            if group is not None:
                self.carry_out(group, group.expire(now_ms))
        self._schedule()


def _stopping() -> CoordinatorUnavailable:
    return CoordinatorUnavailable("the broker is shutting down")
