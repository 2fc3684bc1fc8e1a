"""ConsumerGroupHeartbeat, 0-1: all of the new protocol's membership (KIP-848).

In version 0 the broker may choose the member's id; from 1 the member does, and may subscribe by a
regular expression.
"""

from __future__ import annotations

import uuid
from typing import Any

from tidelog.api.caller import DESCRIBE, READ
from tidelog.api.kafka.lookups import code_of, milliseconds
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values
from tidelog.broker.errors import TopicNotAuthorized
from tidelog.consumer_groups.consumer.heartbeat import JOIN_EPOCH, ConsumerHeartbeat
from tidelog.consumer_groups.errors import GroupError
from tidelog.consumer_groups.records.consumer_group_records import TopicIdPartition

API = Api(key=68, name="consumer_group_heartbeat", versions=(0, 1), flexible_from=0)

_NO_TOPIC = uuid.UUID(int=0)


async def handle(call: Call, request: Any) -> Values:
    """The member's epoch, and its partitions where they changed."""
    try:
        call.access.group(request.group_id, READ)
        for name in request.subscribed_topic_names or ():
            call.access.check_topic(name, DESCRIBE)
        reply = await call.coordinator.consumer.heartbeat(_heartbeat(call, request))
    except (GroupError, TopicNotAuthorized) as error:
        return {"error_code": code_of(error), "error_message": str(error)}
    assignment = None
    if reply.assignment is not None:
        assignment = {"topic_partitions": _by_topic(reply.assignment)}
    return {
        "member_id": reply.member_id,
        "member_epoch": reply.member_epoch,
        "heartbeat_interval": reply.heartbeat_interval_ms,
        "assignment": assignment,
    }


def _heartbeat(call: Call, request: Any) -> ConsumerHeartbeat:
    member_id = request.member_id
    if call.version == 0 and not member_id and request.member_epoch == JOIN_EPOCH:
        member_id = str(call.broker.environment.new_id())
    names, owned = request.subscribed_topic_names, request.topic_partitions
    return ConsumerHeartbeat(
        group=request.group_id,
        member_id=member_id,
        member_epoch=request.member_epoch,
        instance_id=request.instance_id,
        rack_id=request.rack_id,
        client_id=call.client_id,
        client_host=f"/{call.peer.host}",
        rebalance_timeout_ms=milliseconds(request.rebalance_timeout),
        topic_names=None if names is None else tuple(names),
        topic_regex=getattr(request, "subscribed_topic_regex", None),
        assignor=request.server_assignor,
        owned=None if owned is None else _places(owned),
    )


def _places(topics: Any) -> tuple[TopicIdPartition, ...]:
    return tuple(
        (topic.topic_id or _NO_TOPIC, partition)
        for topic in topics
        for partition in topic.partitions
    )


def _by_topic(places: tuple[TopicIdPartition, ...]) -> list[dict[str, Any]]:
    found: dict[uuid.UUID, list[int]] = {}
    for topic_id, partition in places:
        found.setdefault(topic_id, []).append(partition)
    return [{"topic_id": topic_id, "partitions": some} for topic_id, some in found.items()]
