"""All groups of the broker in memory, whatever their kind: loaded from the offsets topic, kept in
time.

One timer runs, for the earliest deadline of any group. After a start the topic is applied in the
background; ``check_ready`` raises CoordinatorLoading until that is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeVar

from tidelog.broker.broker import Broker
from tidelog.broker.errors import BrokerError
from tidelog.consumer_groups.any_group import AnyGroup, GroupFacts
from tidelog.consumer_groups.beginnings import Beginnings
from tidelog.consumer_groups.catalog_view import CatalogView
from tidelog.consumer_groups.classic.classic_member import NEVER_MS
from tidelog.consumer_groups.classic.deadlines import Deadlines
from tidelog.consumer_groups.consumer.consumer_group import ConsumerGroup, TopicsNow
from tidelog.consumer_groups.errors import (
    CoordinatorLoading,
    CoordinatorUnavailable,
    InvalidGroupId,
    UnknownGroup,
)
from tidelog.consumer_groups.group_news import GroupNews
from tidelog.consumer_groups.offsets_topic import offsets_topic
from tidelog.consumer_groups.own_settings import GroupsOwnSettings
from tidelog.consumer_groups.records.consumer_group_records import GroupEpochRecord
from tidelog.consumer_groups.records.group_records import GroupRecord, OffsetRecord, StateRecord
from tidelog.consumer_groups.records.offset_store import OffsetStore
from tidelog.consumer_groups.settings import GroupSettings
from tidelog.consumer_groups.watches import MemberWatches
from tidelog.storage.errors import StorageError

R = TypeVar("R")
GROUP_ID_BYTES = 2**15 - 1
_ENDS = (GroupRecord, GroupEpochRecord)
"""Without a value these say that the group is gone."""
_log = logging.getLogger("tidelog.groups")


class Kind(Protocol):
    """How groups of one kind are put to work."""

    records: frozenset[type[Any]]

    def __call__(self, groups: Groups, name: str, /) -> AnyGroup: ...


class Groups:
    """Settings are those of the broker at construction; ``kinds`` are how groups are served."""

    def __init__(self, broker: Broker, kinds: Iterable[Kind]) -> None:
        self.broker = broker
        self.settings = GroupSettings.of(broker.settings)
        self.own_settings = GroupsOwnSettings(broker)
        self.offsets = OffsetStore()
        self.beginnings = Beginnings()
        self.topic = offsets_topic(broker, self.settings, self._apply)
        self.loading = True
        self.failure: str | None = None
        """Why no group can be served until the next start, or None."""
        self.watches = MemberWatches()
        self._kinds = {record: kind for kind in kinds for record in kind.records}
        self.news = GroupNews()
        self._clock = broker.clock
        self._catalog = CatalogView(broker)
        self._groups: dict[str, AnyGroup] = {}
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
            await self.own_settings.load()
            await self.topic.load()
        except Exception as error:
            self.failure = str(error)
            foreseen = isinstance(error, BrokerError | StorageError)
            _log.error("groups stay unavailable: %s", error, exc_info=None if foreseen else error)
            raise
        self.loading = False
        for group in list(self._groups.values()):
            group.resume()
        self.news.silent = False
        if self._groups:
            _log.info("%d groups are loaded", len(self._groups))

    def stop_waiting(self) -> None:
        """Let everybody go who waits for a rebalance, and let nobody wait from now on."""
        self._stopping = True
        self.watches.close()
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

    def check_ready(self, group: str | None = None) -> None:
        """Raises CoordinatorLoading, CoordinatorUnavailable; of a group also for it alone."""
        if self._closing:
            raise _stopping()
        if self.failure is not None:
            raise CoordinatorUnavailable(self.failure)
        if self.loading:
            raise CoordinatorLoading(self.topic.loaded, self.topic.total)
        if group is not None:
            self.topic.check(group)

    def check_name(self, group: str) -> None:
        """Also ``check_ready``. Raises InvalidGroupId."""
        self.check_ready(group)
        if not group or len(group.encode()) > GROUP_ID_BYTES:
            raise InvalidGroupId(group)

    # Groups

    def __iter__(self) -> Iterator[AnyGroup]:
        """Every group, those included that only have offsets."""
        yield from list(self._groups.values())
        for name in list(self.offsets.groups()):
            if name not in self._groups:
                yield self.without_members(name)

    def find(self, name: str) -> AnyGroup | None:
        """The group, if anybody has joined it."""
        return self._groups.get(name)

    def existing(self, name: str) -> AnyGroup:
        """Raises UnknownGroup; a group that only has, or had, offsets is one without members."""
        group = self._groups.get(name)
        if group is None:
            if name not in self.offsets:
                raise UnknownGroup(name)
            group = self.without_members(name)
        return group

    def consumer(self, name: str) -> ConsumerGroup | None:
        """The group, if it is of the new protocol."""
        group = self._groups.get(name)
        return None if group is None else group.consumer

    def add(self, group: AnyGroup) -> None:
        """Found from now on, in the place of any other of its name."""
        self._groups[group.facts.name] = group

    def without_members(self, name: str) -> AnyGroup:
        """A group as it is before the first joins; ``add`` makes it one that is found."""
        return self._kinds[GroupRecord](self, name)

    def forget(self, name: str) -> None:
        group = self._groups.pop(name, None)
        self.news.forget(name)
        self._deadlines.forget(name)
        if group is not None:
            group.end()

    def topics_now(self) -> TopicsNow:
        return TopicsNow(self.broker.topics_version, self._catalog)

    async def wait(self, future: asyncio.Future[R]) -> R:
        """Park until the group has a reply for this ticket."""
        if self._stopping and not future.done():
            raise _stopping()
        self._parked.add(future)
        try:
            return await future
        finally:
            self._parked.discard(future)

    # What the topic says

    def _apply(self, record: StateRecord) -> None:
        if isinstance(record, OffsetRecord):
            self.offsets.apply(record)
            return
        kind, name = type(record), record.group
        group = self._groups.get(name)
        if group is not None and kind not in group.records:
            group = None
        if record.value is None and kind in _ENDS:
            self.offsets.drop(name)
            if group is not None:
                self.forget(name)
        elif group is not None:
            group.apply(record)
        elif record.value is not None:
            group = self._groups[name] = self._kinds[kind](self, name)
            group.apply(record)

    # Time

    def now_ms(self) -> int:
        """The steady clock of the groups."""
        return self._clock.monotonic_ms()

    def wall_ms(self) -> int:
        return self._clock.now_ms()

    def watch(self, group: GroupFacts) -> None:
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
                group.expire(now_ms)
        self._schedule()


def _stopping() -> CoordinatorUnavailable:
    return CoordinatorUnavailable("the broker is shutting down")
