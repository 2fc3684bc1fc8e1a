"""DeleteGroups, 0-2: groups without members, with their offsets."""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import DELETE
from tidelog.api.kafka.lookups import code_of
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values
from tidelog.consumer_groups.errors import GroupError

API = Api(key=42, name="delete_groups", versions=(0, 2), flexible_from=2)


async def handle(call: Call, request: Any) -> Values:
    """One answer for each group."""
    results = []
    for group in dict.fromkeys(request.groups_names):
        code = 0
        try:
            call.access.group(group, DELETE)
            await call.coordinator.delete(group)
        except GroupError as error:
            code = code_of(error)
        results.append({"group_id": group, "error_code": code})
    return {"results": results}
