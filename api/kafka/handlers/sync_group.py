"""SyncGroup, 0-5: the leader brings the assignments, each member gets its own."""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import READ
from tidelog.api.error_codes import INCONSISTENT_GROUP_PROTOCOL
from tidelog.api.kafka.lookups import code_of
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values
from tidelog.consumer_groups.classic.membership import SyncRequest
from tidelog.consumer_groups.errors import GroupError

API = Api(key=14, name="sync_group", versions=(0, 5), flexible_from=4)

_NAMES_FROM = 5


async def handle(call: Call, request: Any) -> Values:
    """Waits for the leader."""
    protocol_type = getattr(request, "protocol_type", None)
    protocol = getattr(request, "protocol_name", None)
    if call.version >= _NAMES_FROM and (protocol_type is None or protocol is None):
        return {"error_code": INCONSISTENT_GROUP_PROTOCOL}
    try:
        call.access.group(request.group_id, READ)
        reply = await call.coordinator.classic.sync(
            SyncRequest(
                group=request.group_id,
                generation=request.generation_id,
                member_id=request.member_id,
                instance_id=getattr(request, "group_instance_id", None),
                protocol_type=protocol_type,
                protocol=protocol,
                assignments={
                    entry.member_id: bytes(entry.assignment) for entry in request.assignments
                },
            )
        )
    except GroupError as error:
        return {"error_code": code_of(error)}
    return {
        "protocol_type": reply.protocol_type,
        "protocol_name": reply.protocol,
        "assignment": reply.assignment,
    }
