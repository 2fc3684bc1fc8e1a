"""The broker's settings while it runs: those that can change do, and who obeys them is told.

What is set by request (``alter``) stays across restarts and stands above what the process is
started with; that may change too (``reread``), for a file of settings can be read again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tidelog.broker.errors import InvalidSetting, ShuttingDown
from tidelog.broker.settings.broker_settings import BrokerSettings
from tidelog.broker.settings.changing_settings import CHANGEABLE, UNCHANGED, Changed
from tidelog.broker.settings.topic_settings import TopicSettings

if TYPE_CHECKING:
    from tidelog.broker.broker import Broker

_log = logging.getLogger("tidelog.settings")


class RunningSettings:
    """``listeners`` are called after a change, when ``broker.settings`` has it.

    ``changing`` is held while topics come, change and go.
    """

    def __init__(self, broker: Broker, changing: asyncio.Lock) -> None:
        self._broker = broker
        self._changing = changing
        self.listeners: list[Callable[[], None]] = []

    def load(self) -> list[str]:
        """Take what was set before this start; what is acceptable no more is left out and told."""
        known = self._broker.catalog.known.broker
        present = self._broker.settings
        changed = Changed(known.get("own", {}), known.get("for_all", {}))
        left_out = []
        while True:
            try:
                settings = BrokerSettings(present.given, present.sources, changed)
                TopicSettings({}, settings)
                break
            except InvalidSetting as error:
                left_out.append(f"a setting that was changed while running does not count: {error}")
                changed = _without(changed, error.name)
        self._use(settings, {})
        return left_out

    async def alter(
        self,
        changes: Mapping[str, str | None],
        *,
        for_all: bool = False,
        validate_only: bool = False,
    ) -> None:
        """Change settings of this broker, or of all that have none of their own; None resets one.

        Durable when this returns. Raises InvalidSetting, DiskFull, CatalogUnreadable.
        """
        async with self._changing:
            self._check_open()
            settings = self._broker.settings.with_changes(changes, for_all=for_all)
            topics = self._topics_with(settings)
            if validate_only or settings.changed == self._broker.settings.changed:
                return
            scopes = settings.changed._asdict().items()
            kept = {scope: dict(texts) for scope, texts in scopes if texts}
            await self._broker.catalog.set_broker_settings(kept)
            self._use(settings, topics)

    async def reread(self, given: BrokerSettings) -> list[str]:
        """Take what the process would be started with now; names of what needs a restart for it.

        Raises InvalidSetting.
        """
        async with self._changing:
            self._check_open()
            present = self._broker.settings
            settings = present.with_given(given)
            self._use(settings, self._topics_with(settings))
        return sorted(
            name
            for name in {*present.given, *given.given} - CHANGEABLE
            if present.given.get(name) != given.given.get(name)
        )

    def _check_open(self) -> None:
        if self._broker.closing:
            raise ShuttingDown

    def _topics_with(self, settings: BrokerSettings) -> dict[str, TopicSettings]:
        """Raises InvalidSetting for what contradicts itself or a topic's own settings."""
        TopicSettings({}, settings)
        found = {}
        for topic in self._broker.topics():
            try:
                found[topic.name] = TopicSettings(topic.settings.overrides, settings)
            except InvalidSetting as error:
                reason = f"{error.reason} (topic {topic.name})"
                raise InvalidSetting(error.name, error.value, reason) from error
        return found

    def _use(self, settings: BrokerSettings, topics: Mapping[str, TopicSettings]) -> None:
        before, self._broker.settings = self._broker.settings, settings
        changes = [name for name in CHANGEABLE if before.text(name) != settings.text(name)]
        for name in sorted(changes):
            value, old = settings.text(name), before.text(name)
            _log.info("%s is %s, it was %s", name, value, old, extra={"setting": name})
        for topic in self._broker.topics():
            if topic.name in topics:
                topic.use_settings(topics[topic.name])
        if "cache.bytes" in changes:
            self._broker.cache.budget_bytes = settings["cache.bytes"]
        for listener in self.listeners:
            listener()


def _without(changed: Changed, name: str) -> Changed:
    """Without the setting that is to blame; without any where it is none of these."""
    own, for_all = dict(changed.own), dict(changed.for_all)
    if own.pop(name, None) is None and for_all.pop(name, None) is None:
        return UNCHANGED
    return Changed(own, for_all)
