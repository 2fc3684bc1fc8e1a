"""All groups of the broker in memory: loaded from the offsets topic, kept in time, written back.

Commands of a classic group end in an ``Outcome``; here replies go to the futures that wait for
them and metadata to the topic. Groups of the new protocol change by their records alone. One timer
runs, for the earliest deadline of any group. After a start the topic is applied in the background;
``check_ready`` raises CoordinatorLoading until that is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

from tidelog.broker.broker import Broker
from tidelog.broker.errors import BrokerError
from tidelog.consumer_groups import consumer_rebalance, migration
from tidelog.consumer_groups.beginnings import Beginnings
from tidelog.consumer_groups.catalog_view import CatalogView
from tidelog.consumer_groups.consumer_group import ConsumerGroup, TopicsNow
from tidelog.consumer_groups.consumer_group_records import (
    ConsumerGroupRecord,
    GroupEpochRecord,
)
from tidelog.consumer_groups.deadlines import Deadlines
from tidelog.consumer_groups.errors import (
    CoordinatorLoading,
    CoordinatorUnavailable,
    GroupError,
    InvalidGroupId,
    UnknownGroup,
)
from tidelog.consumer_groups.group import Group
from tidelog.consumer_groups.group_news import GroupNews
from tidelog.consumer_groups.group_records import (
    GroupMetadata,
    GroupRecord,
    OffsetRecord,
    StateRecord,
)
from tidelog.consumer_groups.member import NEVER_MS
from tidelog.consumer_groups.member_watches import MemberWatches
from tidelog.consumer_groups.offset_store import OffsetStore
from tidelog.consumer_groups.offsets_topic import OffsetsTopic
from tidelog.consumer_groups.own_settings import GroupsOwnSettings
from tidelog.consumer_groups.rebalance import Outcome, State, Store
from tidelog.consumer_groups.settings import GroupSettings
from tidelog.storage.errors import StorageError

R = TypeVar("R")
AnyGroup = Group | ConsumerGroup
GROUP_ID_BYTES = 2**15 - 1
_RETRY_MS = 1_000
_log = logging.getLogger("tidelog.groups")


class Groups:
    """Settings are those of the broker at construction."""

    def __init__(self, broker: Broker) -> None:
        self.settings = GroupSettings.of(broker.settings)
        self.own_settings = GroupsOwnSettings(broker)
        self.offsets = OffsetStore()
        self.beginnings = Beginnings()
        self.topic = OffsetsTopic(broker, self.settings, self._apply)
        self.loading = True
        self.failure: str | None = None
        """Why no group can be served until the next start, or None."""
        self.watches = MemberWatches()
        self._news = GroupNews()
        self._broker = broker
        self._clock = broker.clock
        self._catalog = CatalogView(broker)
        self._groups: dict[str, AnyGroup] = {}
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
            await self.own_settings.load()
            await self.topic.load()
        except Exception as error:
            self.failure = str(error)
            foreseen = isinstance(error, BrokerError | StorageError)
            _log.error("groups stay unavailable: %s", error, exc_info=None if foreseen else error)
            raise
        self.loading = False
        now_ms = self.now_ms()
        for group in list(self._groups.values()):
            if isinstance(group, ConsumerGroup):
                group.resume(now_ms, self._clock.now_ms())
                self.watch(group)
                self._downgrade(group, self.topics_now())
        for name, metadata in self._restored.items():
            classic = self._groups[name] = Group.restore(name, metadata, self.settings)
            self.carry_out(classic, classic.resume(now_ms))
        self._restored.clear()
        self._news.silent = False
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
                yield Group(name, self.settings)

    def find(self, name: str) -> AnyGroup | None:
        """The group, if anybody has joined it."""
        return self._groups.get(name)

    def existing(self, name: str) -> AnyGroup:
        """Raises UnknownGroup; a group that only has, or had, offsets is one without members."""
        group = self._groups.get(name)
        if group is None:
            if name not in self.offsets:
                raise UnknownGroup(name)
            group = Group(name, self.settings)
        return group

    def create(self, name: str) -> Group:
        """A new classic group."""
        group = self._groups[name] = Group(name, self.settings)
        return group

    def topics_now(self) -> TopicsNow:
        return TopicsNow(self._broker.topics_version, self._catalog)

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
        self._send(outcome)
        self._news.look_at(group)
        for store in outcome.stores:
            metadata = store.metadata._replace(state_timestamp_ms=self._clock.now_ms())
            done = self.topic.write(group.name, [GroupRecord(group.name, metadata)])
            done.add_done_callback(partial(self._stored, group, store))
        if group.generation == 0 and group.is_disposable and not outcome.stores:
            self._forget(group.name)
        else:
            self.watch(group)

    def _send(self, outcome: Outcome) -> None:
        for ticket, result in outcome.replies:
            assert isinstance(ticket, asyncio.Future)
            if ticket.done():
                continue
            if isinstance(result, GroupError):
                ticket.set_exception(result)
            else:
                ticket.set_result(result)

    def _stored(self, group: Group, store: Store, done: asyncio.Future[None]) -> None:
        error = None if done.cancelled() else done.exception()
        if error is None:
            outcome = group.stored(store, self.now_ms())
        else:
            outcome = group.store_failed(store, str(error), self.now_ms())
        if group.state is State.DEAD:
            self._send(outcome)
        else:
            self.carry_out(group, outcome)

    def change(
        self, name: str, records: Sequence[StateRecord], topics: TopicsNow
    ) -> asyncio.Future[None] | None:
        """Apply the records of a group of the new protocol; done when they are durable.

        It becomes a classic one if these leave it with classic members only. None where there is
        nothing to write. Raises CoordinatorUnavailable.
        """
        done = self.topic.write_now(name, records) if records else None
        group = self._groups.get(name)
        if isinstance(group, ConsumerGroup):
            group.topics_version = topics.version
            if records:
                done = self._downgrade(group, topics) or done
        if records:
            group = self._groups.get(name)
            self.watches.tell(name, group if isinstance(group, ConsumerGroup) else None)
            if isinstance(group, ConsumerGroup):
                self._news.look_at(group)
        return done

    def _downgrade(self, group: ConsumerGroup, topics: TopicsNow) -> asyncio.Future[None] | None:
        """Go on in the classic protocol, if it is time to; done when that is durable."""
        name = group.name
        metadata = migration.downgraded(group, topics, self.settings, self._clock.now_ms())
        if metadata is None:
            return None
        done = self.topic.write_now(name, [*group.tombstones(), GroupRecord(name, metadata)])
        classic = self._groups[name] = Group.restore(name, metadata, self.settings)
        self.carry_out(classic, classic.resume(self.now_ms(), rejoin=True))
        return done

    # What the topic says

    def _apply(self, record: StateRecord) -> None:
        if isinstance(record, OffsetRecord):
            self.offsets.apply(record)
        elif isinstance(record, GroupRecord):
            self._apply_classic(record)
        else:
            self._apply_new(record)

    def _apply_classic(self, record: GroupRecord) -> None:
        group = self._groups.get(record.group)
        if record.value is None:
            self.offsets.drop(record.group)
        if self.loading:
            if record.value is None:
                self._restored.pop(record.group, None)
            else:
                self._restored[record.group] = record.value
        elif not isinstance(group, Group):
            return
        elif record.value is None:
            self._forget(record.group)
        else:
            group.state_timestamp_ms = record.value.state_timestamp_ms

    def _apply_new(self, record: ConsumerGroupRecord) -> None:
        group = self._groups.get(record.group)
        if isinstance(record, GroupEpochRecord) and record.value is None:
            self.offsets.drop(record.group)
            if isinstance(group, ConsumerGroup):
                self._forget(record.group)
            return
        if not isinstance(group, ConsumerGroup):
            if record.value is None:
                return
            settings = self.own_settings.obeyed_by(record.group)
            group = self._groups[record.group] = ConsumerGroup(record.group, settings)
        had_members = not group.is_empty
        group.apply(record)
        if had_members and group.is_empty:
            group.empty_since_ms = self._clock.now_ms()

    def _forget(self, name: str) -> None:
        group = self._groups.pop(name, None)
        self._news.forget(name)
        self._deadlines.forget(name)
        if isinstance(group, Group):
            self._send(group.give_way())

    # Time

    def now_ms(self) -> int:
        """The steady clock of the groups."""
        return self._clock.monotonic_ms()

    def watch(self, group: AnyGroup) -> None:
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
            if isinstance(group, Group):
                before = {member.member_id for member in group.members}
                outcome = group.expire(now_ms)
                for member_id in before - {member.member_id for member in group.members}:
                    self._news.given_up(name, member_id)
                self.carry_out(group, outcome)
            elif group is not None:
                self._expire_new(group, now_ms)
        self._schedule()

    def _expire_new(self, group: ConsumerGroup, now_ms: int) -> None:
        topics = self.topics_now()
        overdue = group.overdue(now_ms)
        records = consumer_rebalance.forget(group, overdue, topics)
        for member_id in overdue:
            self._news.given_up(group.name, member_id)
        try:
            done = self.change(group.name, records, topics)
        except CoordinatorUnavailable as error:
            _log.warning("members of group %s cannot be given up: %s", group.name, error)
            group.wake_ms = now_ms + _RETRY_MS
        else:
            if done is not None:
                done.add_done_callback(lambda done: done.cancelled() or done.exception())
        present = self._groups.get(group.name)
        if present is not None:
            self.watch(present)


def _stopping() -> CoordinatorUnavailable:
    return CoordinatorUnavailable("the broker is shutting down")
