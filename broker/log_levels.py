"""How much the broker tells in its log, by area: ``log.level`` as in ``info,groups=debug``.

One level without an area counts for all that are not named. Each area is the last part of a
logger's name, ``tidelog.groups``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import NamedTuple

from tidelog.broker.errors import InvalidSetting

LEVELS = ("debug", "info", "warning", "error")
AREAS = (
    *("broker", "catalog", "compaction", "groups", "http"),
    *("kafka", "retention", "settings", "store", "topics"),
)
_NAME = "log.level"
_DEFAULT = "info"


class LogLevels(NamedTuple):
    """``areas`` holds the levels of those that have one of their own."""

    default: str
    areas: dict[str, str]

    def of(self, area: str) -> str:
        """The level that counts."""
        return self.areas.get(area, self.default)

    @property
    def text(self) -> str:
        """As ``log.level`` says it."""
        own = (f"{area}={level}" for area, level in sorted(self.areas.items()))
        return ",".join([self.default, *own])


def parse_log_levels(parts: Iterable[str]) -> LogLevels:
    """``parts`` are levels or ``area=level``. Raises InvalidSetting."""
    default: str | None = None
    parts = list(parts)
    if not parts:
        raise InvalidSetting(_NAME, "", f"must be one of {', '.join(LEVELS)}")
    areas: dict[str, str] = {}
    for part in parts:
        area, equals, level = (text.strip().lower() for text in part.rpartition("="))
        if level not in LEVELS:
            raise InvalidSetting(_NAME, part, f"must be one of {', '.join(LEVELS)}")
        if equals and area not in AREAS:
            near = difflib.get_close_matches(area, AREAS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            reason = f"{area!r} is not one of the areas {', '.join(AREAS)}{hint}"
            raise InvalidSetting(_NAME, part, reason)
        if area in areas or (not equals and default is not None):
            raise InvalidSetting(_NAME, part, f"{area or 'the level of all areas'} is given twice")
        if equals:
            areas[area] = level
        else:
            default = level
    return LogLevels(default or _DEFAULT, areas)
