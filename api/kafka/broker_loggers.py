"""Levels of the broker's log as resources of Kafka's protocol (KIP-412): ``root`` and the areas.

They are the setting ``log.level``. Unlike Apache Kafka's they stay when the broker is restarted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tidelog.broker.errors import InvalidSetting
from tidelog.broker.log_levels import AREAS, LogLevels

ROOT = "root"
_SET, _DELETE = 0, 1
_DYNAMIC_BROKER_LOGGER = 6
_SHOWN = {"debug": "DEBUG", "info": "INFO", "warning": "WARN", "error": "ERROR"}
_MEANT = {**{shown: level for level, shown in _SHOWN.items()}, "TRACE": "debug", "FATAL": "error"}


class NotForLoggers(Exception):
    """What Kafka does not do with a level."""


def logger_configs(levels: LogLevels) -> list[dict[str, Any]]:
    """Each area with the level that counts."""
    counting = {ROOT: levels.default, **{area: levels.of(area) for area in AREAS}}
    return [
        {
            "name": name,
            "value": _SHOWN[level],
            "read_only": False,
            "is_default": False,
            "config_source": _DYNAMIC_BROKER_LOGGER,
            "is_sensitive": False,
            "config_type": 0,
            "documentation": "",
            "synonyms": (),
        }
        for name, level in counting.items()
    ]


def changed_levels(levels: LogLevels, configs: Iterable[Any]) -> LogLevels:
    """With what a request asks for. Raises InvalidSetting, NotForLoggers."""
    default, areas = levels.default, dict(levels.areas)
    for config in configs:
        name, value, operation = config.name, config.value, config.config_operation
        if operation not in (_SET, _DELETE):
            raise NotForLoggers("levels can be set and deleted")
        if name != ROOT and name not in AREAS:
            reason = f"there is no such logger; there are {ROOT}, {', '.join(AREAS)}"
            raise InvalidSetting(name, value, reason)
        if operation == _SET and value not in _MEANT:
            raise InvalidSetting(name, value, f"must be one of {', '.join(_MEANT)}")
        if operation == _SET and name == ROOT:
            default = _MEANT[value]
        elif operation == _SET:
            areas[name] = _MEANT[value]
        elif name == ROOT:
            raise NotForLoggers(f"the level of {ROOT} cannot be deleted")
        else:
            areas.pop(name, None)
    return LogLevels(default, areas)
