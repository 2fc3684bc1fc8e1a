"""Settings of single groups, which stand above the broker's (KIP-848).

A group need not exist to have settings, and keeps them when it is deleted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace

from tidelog.broker.broker import Broker
from tidelog.broker.errors import InvalidSetting
from tidelog.broker.settings.broker_settings import BrokerSettings
from tidelog.broker.settings.layered_settings import LayeredSettings
from tidelog.broker.settings.setting import Setting, table
from tidelog.consumer_groups.settings import GroupSettings

_INTERVAL, _SESSION = "consumer.heartbeat.interval.ms", "consumer.session.timeout.ms"
_log = logging.getLogger("tidelog.groups")


def _setting(name: str, default: int, text: str) -> Setting:
    synonyms = ((f"group.{name}", 1),)
    return Setting(name, "int", str(default), text, 1, broker_synonyms=synonyms)


OWN_SETTINGS = table(
    (
        _setting(_INTERVAL, 5_000, "How often members of the group are to be heard of, ms."),
        _setting(_SESSION, 45_000, "Silence after which a member of the group is given up, ms."),
    )
)


class OwnSettings(LayeredSettings):
    """Those of one group."""

    def __init__(self, overrides: Mapping[str, str], broker: BrokerSettings) -> None:
        """Raises InvalidSetting."""
        super().__init__(OWN_SETTINGS, overrides, broker)
        for name, text in self.overrides.items():
            what = name.removeprefix("consumer.")
            low, high = f"group.consumer.min.{what}", f"group.consumer.max.{what}"
            if self[name] < broker[low]:
                raise InvalidSetting(name, text, f"must be at least {low}={broker[low]}")
            if self[name] > broker[high]:
                raise InvalidSetting(name, text, f"must be at most {high}={broker[high]}")
        if self[_SESSION] <= self[_INTERVAL]:
            reason = f"must be above {_INTERVAL}={self[_INTERVAL]}"
            raise InvalidSetting(_SESSION, str(self[_SESSION]), reason)


class GroupsOwnSettings:
    """Which groups have settings of their own, and what a group has to obey."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._shared = GroupSettings.of(broker.settings)
        self._own: dict[str, OwnSettings] = {}
        self._obeyed: dict[str, GroupSettings] = {}
        self._changing = asyncio.Lock()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._own))

    async def load(self) -> None:
        """Settings outside of bounds that the broker now has are let alone."""
        for group, overrides in (await self._broker.catalog.group_settings()).items():
            try:
                self._use(group, OwnSettings(overrides, self._broker.settings))
            except InvalidSetting as error:
                _log.warning("group %s has a setting that does not count: %s", group, error)

    def of(self, group: str) -> OwnSettings:
        return self._own.get(group) or OwnSettings({}, self._broker.settings)

    def obeyed_by(self, group: str) -> GroupSettings:
        """The broker's, but for what the group has of its own."""
        return self._obeyed.get(group, self._shared)

    async def alter(
        self, group: str, changes: Mapping[str, str | None], *, validate_only: bool = False
    ) -> None:
        """Change settings; None resets one. Raises InvalidSetting."""
        async with self._changing:
            overrides = dict(self.of(group).overrides)
            for name, value in changes.items():
                if value is None:
                    overrides.pop(name, None)
                else:
                    overrides[name] = value
            changed = OwnSettings(overrides, self._broker.settings)
            if not validate_only:
                await self._broker.catalog.set_group_settings(group, overrides)
                self._use(group, changed)

    def _use(self, group: str, own: OwnSettings) -> None:
        if not own.overrides:
            self._own.pop(group, None)
            self._obeyed.pop(group, None)
            return
        self._own[group] = own
        self._obeyed[group] = replace(
            self._shared,
            consumer_heartbeat_interval_ms=own[_INTERVAL],
            consumer_session_timeout_ms=own[_SESSION],
        )
