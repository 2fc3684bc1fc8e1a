"""JoinGroup, 0-9: waits until the group has a new generation.

From version 1 the rebalance time-out has a field of its own, from 4 a new member is first given
its id (KIP-394), from 5 members may be static (KIP-345), from 9 a returning leader may be told
not to assign (KIP-814).
"""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import READ
from tidelog.api.kafka.lookups import code_of, milliseconds
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values
from tidelog.consumer_groups.classic.membership import JoinRequest
from tidelog.consumer_groups.errors import GroupError, MemberIdRequired

API = Api(key=11, name="join_group", versions=(0, 9), flexible_from=6)


async def handle(call: Call, request: Any) -> Values:
    """The generation, and for the leader all members."""
    try:
        call.access.group(request.group_id, READ)
        reply = await call.coordinator.classic.join(_join(call, request))
    except GroupError as error:
        given = error.member_id if isinstance(error, MemberIdRequired) else request.member_id
        return {
            "error_code": code_of(error),
            "generation_id": -1,
            "protocol_name": None if call.version >= 7 else "",
            "member_id": given,
        }
    return {
        "error_code": 0,
        "generation_id": reply.generation,
        "protocol_type": reply.protocol_type,
        "protocol_name": reply.protocol if call.version >= 7 else reply.protocol or "",
        "leader": reply.leader,
        "skip_assignment": reply.skip_assignment,
        "member_id": reply.member_id,
        "members": [
            {
                "member_id": member.member_id,
                "group_instance_id": member.instance_id,
                "metadata": member.metadata,
            }
            for member in reply.members
        ],
    }


def _join(call: Call, request: Any) -> JoinRequest:
    session_timeout_ms = milliseconds(request.session_timeout)
    rebalance = getattr(request, "rebalance_timeout", None)
    return JoinRequest(
        group=request.group_id,
        member_id=request.member_id,
        instance_id=getattr(request, "group_instance_id", None),
        client_id=call.client_id,
        client_host=f"/{call.peer.host}",
        session_timeout_ms=session_timeout_ms,
        rebalance_timeout_ms=(session_timeout_ms if rebalance is None else milliseconds(rebalance)),
        protocol_type=request.protocol_type,
        protocols=tuple((entry.name, bytes(entry.metadata)) for entry in request.protocols),
        require_known_member_id=call.version >= 4,
        reason=getattr(request, "reason", None) or "",
        supports_skipping_assignment=call.version >= 9,
    )
