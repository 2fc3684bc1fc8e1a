"""Heartbeat, 0-4: the member lives; the error says when it has to join again."""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import READ
from tidelog.api.kafka.lookups import code_of
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values
from tidelog.consumer_groups.classic.membership import HeartbeatRequest
from tidelog.consumer_groups.errors import GroupError

API = Api(key=12, name="heartbeat", versions=(0, 4), flexible_from=4)


def handle(call: Call, request: Any) -> Values:
    """Nothing but an error code."""
    try:
        call.access.group(request.group_id, READ)
        call.coordinator.classic.heartbeat(
            HeartbeatRequest(
                group=request.group_id,
                generation=request.generation_id,
                member_id=request.member_id,
                instance_id=getattr(request, "group_instance_id", None),
            )
        )
    except GroupError as error:
        return {"error_code": code_of(error)}
    return {"error_code": 0}
