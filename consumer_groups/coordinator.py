"""The group coordinator: what doors call.

Every method raises CoordinatorLoading after a start until the offsets topic is applied, and
CoordinatorUnavailable once the broker stops or cannot write.

What it does has four parts: ``classic`` and ``consumer`` for members by the protocol that they
speak, ``hosted`` for those that the broker has on behalf of HTTP callers, ``offsets`` for what is
committed. What is done with groups as a whole stands here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from tidelog.broker.broker import Broker
from tidelog.broker.passes import Passes
from tidelog.consumer_groups import descriptions
from tidelog.consumer_groups.classic_members import ClassicMembers
from tidelog.consumer_groups.commits import GroupOffsets
from tidelog.consumer_groups.consumer_members import ConsumerMembers
from tidelog.consumer_groups.groups import Groups, Kind
from tidelog.consumer_groups.hosted_members import HostedMembers
from tidelog.consumer_groups.lag import Lag
from tidelog.consumer_groups.own_settings import OwnSettings
from tidelog.consumer_groups.records.offsets import (
    GroupDescription,
    GroupOverview,
    PartitionLag,
)
from tidelog.consumer_groups.served_classic import ServedClassic
from tidelog.consumer_groups.served_consumer import ServedConsumer

KINDS: tuple[Kind, ...] = (ServedClassic, ServedConsumer)
"""Of groups that there are."""
_GROUPS_AT_ONCE = 100
"""Between two of them the loop serves others."""


class Coordinator:
    """Construct, ``start``, serve, ``close``; in the event loop of its broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._groups = Groups(broker, KINDS)
        self._lag = Lag(broker, self._groups.beginnings)
        self._loading: asyncio.Task[None] | None = None
        self._expiry: asyncio.Task[None] | None = None
        self._passes = Passes(broker.clock)
        self.caught_up = self._passes.caught_up
        self.classic = ClassicMembers(self._groups, broker.environment.new_id)
        self.consumer = ConsumerMembers(self._groups)
        self.offsets = GroupOffsets(broker, self._groups)
        self.hosted = HostedMembers(broker, self._groups, self.offsets, self.consumer.heartbeat)
        broker.committed_offset = self.offsets.committed_offset

    @property
    def loading(self) -> bool:
        return self._groups.loading

    def failures(self) -> dict[int | None, str]:
        """Why groups cannot be served, by the offsets topic's partition; None: no group can."""
        if self._groups.failure is not None:
            return {None: self._groups.failure}
        return self._groups.topic.unreadable

    async def start(self) -> None:
        """Begin to load; returns at once."""
        self._groups.start()
        self._loading = asyncio.ensure_future(self._load())
        self._expiry = asyncio.ensure_future(self._repeat_expiry())

    async def loaded(self) -> None:
        """Return when loading is done; raises what kept the groups from being read."""
        assert self._loading is not None, "start comes first"
        await asyncio.shield(self._loading)

    async def _load(self) -> None:
        """What is empty may not be so when somebody asks for lag."""
        await self._groups.loaded()
        for number, group in enumerate(self._groups, 1):
            self._lag.begin(group, self._groups.offsets.committed(group.facts.name).keys())
            if number % _GROUPS_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def topic_exists(self) -> None:
        """Return when the offsets topic is there, or still being loaded.

        Raises CoordinatorUnavailable where it cannot be created.
        """
        if not self.loading:
            await self._groups.topic.exists()

    def stop_waiting(self) -> None:
        """Let everybody go who waits for a rebalance; the rest still works until ``close``."""
        self._groups.stop_waiting()

    async def close(self) -> None:
        """Finish what is being written. The broker closes after it."""
        if self._expiry is not None:
            self._expiry.cancel()
        await self._groups.close()
        if self._loading is not None:
            self._loading.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._loading

    def expire_members(self) -> None:
        """Do what is due by the clock; a timer calls this, tests may."""
        self._groups.expire()

    async def _repeat_expiry(self) -> None:
        while True:
            await self._passes.until_next(self._groups.settings.offsets_retention_check_interval_ms)
            if not self.loading:
                await self.offsets.expire()

    # Groups of every kind

    def groups(self) -> list[GroupOverview]:
        """Every group, by name."""
        self._groups.check_ready()
        return sorted(map(descriptions.overview, self._groups))

    def describe(self, group: str) -> GroupDescription:
        """Raises UnknownGroup."""
        self._groups.check_ready(group)
        return self._groups.existing(group).describe()

    async def delete(self, group: str) -> None:
        """Forget the group and its offsets. Raises UnknownGroup, GroupNotEmpty."""
        await self.offsets.delete_group(group)

    def settings_of(self, group: str) -> OwnSettings:
        """Settings of the group, which need not exist."""
        self._groups.check_ready()
        return self._groups.own_settings.of(group)

    async def alter_settings(
        self, group: str, changes: Mapping[str, str | None], *, validate_only: bool = False
    ) -> None:
        """Change settings of the group; None resets one. Raises InvalidSetting."""
        self._groups.check_ready()
        await self._groups.own_settings.alter(group, changes, validate_only=validate_only)

    def groups_with_settings(self) -> list[str]:
        """Those with settings of their own, by name."""
        self._groups.check_ready()
        return list(self._groups.own_settings)

    async def lag(self, group: str) -> list[PartitionLag]:
        """How far the group is behind, per partition, in order. Raises UnknownGroup."""
        self._groups.check_ready(group)
        return await self._lag.of(self._groups.existing(group), self.offsets.committed(group))
