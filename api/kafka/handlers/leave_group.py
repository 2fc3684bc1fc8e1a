"""LeaveGroup, 0-5: one member, from version 3 several, each with its own answer."""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import READ
from tidelog.api.kafka.lookups import code_of
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values
from tidelog.consumer_groups.classic.membership import LeavingMember
from tidelog.consumer_groups.errors import GroupError

API = Api(key=13, name="leave_group", versions=(0, 5), flexible_from=4)


async def handle(call: Call, request: Any) -> Values:
    """Before version 3 the member's error is the answer's."""
    if call.version < 3:
        members = [LeavingMember(request.member_id, None)]
    else:
        members = [LeavingMember(one.member_id, one.group_instance_id) for one in request.members]
    try:
        call.access.group(request.group_id, READ)
        left = await call.coordinator.classic.leave(request.group_id, members)
    except GroupError as error:
        return {"error_code": code_of(error)}
    answers = [
        {
            "member_id": one.member_id,
            "group_instance_id": one.instance_id,
            "error_code": 0 if one.error is None else code_of(one.error),
        }
        for one in left
    ]
    if call.version < 3:
        return {"error_code": answers[0]["error_code"]}
    return {"error_code": 0, "members": answers}
