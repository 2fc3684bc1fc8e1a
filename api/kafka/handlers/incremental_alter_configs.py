"""IncrementalAlterConfigs, 0-1: set, delete, append to or subtract from settings."""

from __future__ import annotations

from typing import Any

from tidelog.api.kafka.altering import Changes, Present, alter
from tidelog.api.kafka.config_fields import DELETE_OPERATION
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values
from tidelog.broker.errors import InvalidSetting
from tidelog.broker.settings.setting import find

API = Api(key=44, name="incremental_alter_configs", versions=(0, 1), flexible_from=1, alone=True)

_SET, _APPEND, _SUBTRACT = 0, 2, 3


async def handle(call: Call, request: Any) -> Values:
    """One answer for each resource."""
    return await alter(call, request, _changes)


def _changes(present: Present, resource: Any) -> Changes:
    return {config.name: _changed(present, config) for config in resource.configs}


def _changed(present: Present, config: Any) -> str | None:
    """The new text of a setting, None to reset it. Raises InvalidSetting."""
    name, value = config.name, config.value
    if config.config_operation == DELETE_OPERATION:
        return None
    setting = find(present.table, name, value)
    if config.config_operation == _SET:
        return str(value)
    if setting.kind != "list":
        raise InvalidSetting(name, value, "only lists can be appended to or subtracted from")
    given = [part.strip() for part in value.split(",") if part.strip()]
    before = list(present.lists[name])
    if config.config_operation == _APPEND:
        return ",".join([*before, *(part for part in given if part not in before)])
    if config.config_operation == _SUBTRACT:
        return ",".join(part for part in before if part not in given)
    raise InvalidSetting(name, value, f"operation {config.config_operation} is unknown")
