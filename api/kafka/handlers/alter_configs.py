"""AlterConfigs, 0-2, the older way: what the request leaves out is reset."""

from __future__ import annotations

from typing import Any

from tidelog.api.kafka.altering import Changes, Present, alter
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=33, name="alter_configs", versions=(0, 2), flexible_from=2, alone=True)


async def handle(call: Call, request: Any) -> Values:
    """One answer for each resource."""
    return await alter(call, request, _changes, replaces=True)


def _changes(present: Present, resource: Any) -> Changes:
    changes: Changes = dict.fromkeys(present.overrides)
    changes.update({config.name: config.value for config in resource.configs})
    return changes
