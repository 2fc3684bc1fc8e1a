"""ListGroups, 0-5: every group; filtered by state from version 4, by type from 5."""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import CLUSTER, DESCRIBE, GROUP
from tidelog.api.kafka.lookups import code_of
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values
from tidelog.consumer_groups.errors import GroupError

API = Api(key=16, name="list_groups", versions=(0, 5), flexible_from=3)


def handle(call: Call, request: Any) -> Values:
    """Filters do not mind upper or lower case."""
    states = {state.lower() for state in getattr(request, "states_filter", ())}
    types = {kind.lower() for kind in getattr(request, "types_filter", ())}
    of_all = call.access.may(DESCRIBE, CLUSTER)
    try:
        groups = call.coordinator.groups()
    except GroupError as error:
        return {"error_code": code_of(error)}
    return {
        "error_code": 0,
        "groups": [
            {
                "group_id": group.group,
                "protocol_type": group.protocol_type,
                "group_state": group.state,
                "group_type": group.group_type,
            }
            for group in groups
            if (of_all or call.access.may(DESCRIBE, GROUP, group.group))
            and (not states or group.state.lower() in states)
            and (not types or group.group_type.lower() in types)
        ],
    }
