"""DescribeGroups, 0-6: members and assignments of classic groups.

A group that is not there, or has members of the new protocol, is Dead; from version 6 it is an
error. One that nobody is in is Empty, whichever protocol it had: a classic member may join it.
"""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import DESCRIBE, GROUP
from tidelog.api.kafka.lookups import code_of
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values
from tidelog.consumer_groups.any_group import CLASSIC
from tidelog.consumer_groups.errors import GroupError, UnknownGroup

API = Api(key=15, name="describe_groups", versions=(0, 6), flexible_from=5)


def handle(call: Call, request: Any) -> Values:
    """One answer for each group."""
    groups = [_describe(call, group) for group in request.groups]
    if getattr(request, "include_authorized_operations", False):
        for group in groups:
            if not group["error_code"]:
                group["authorized_operations"] = call.access.operations(GROUP, group["group_id"])
    return {"groups": groups}


def _describe(call: Call, name: str) -> dict[str, Any]:
    try:
        call.access.group(name, DESCRIBE)
        group = call.coordinator.describe(name)
        if group.group_type != CLASSIC and group.members:
            raise UnknownGroup(name)
    except UnknownGroup as error:
        code = code_of(error) if call.version >= 6 else 0
        message = str(error) if code else None
        return {
            "error_code": code,
            "error_message": message,
            "group_id": name,
            "group_state": "Dead",
        }
    except GroupError as error:
        return {"error_code": code_of(error), "error_message": str(error), "group_id": name}
    return {
        "error_code": 0,
        "group_id": name,
        "group_state": group.state,
        "protocol_type": group.protocol_type,
        "protocol_data": group.protocol if group.members else "",
        "members": [
            {
                "member_id": member.member_id,
                "group_instance_id": member.instance_id,
                "client_id": member.client_id,
                "client_host": member.client_host,
                "member_metadata": member.metadata,
                "member_assignment": member.assignment,
            }
            for member in group.members
        ],
    }
