"""Metadata, 0-13: topics by name (or by id from 12), the one broker, auto-creation.

Null topics mean all; in version 0 an empty list does. From version 4 the client says whether a
missing topic may be created.
"""

from __future__ import annotations

from typing import Any

from tidelog.api.kafka.encoding import Values
from tidelog.api.kafka.lookups import (
    CLUSTER_OPERATIONS,
    TOPIC_OPERATIONS,
    code_of,
    this_broker,
)
from tidelog.api.kafka.peer import Call
from tidelog.broker.topic import Topic
from tidelog.broker.topic_name import check_topic_name

_BY_ID_FROM = 12
_INVALID_REQUEST = 42


async def handle(call: Call, request: Any) -> Values:
    """All topics or those asked for."""
    asked = request.topics
    if asked is None or (call.version == 0 and not asked):
        topics = [_describe(call, topic) for topic in call.broker.topics()]
    else:
        allowed = getattr(request, "allow_auto_topic_creation", True)
        topics = [await _look_up(call, entry, allowed) for entry in dict.fromkeys(asked)]
    if getattr(request, "include_topic_authorized_operations", False):
        for topic in topics:
            topic["topic_authorized_operations"] = TOPIC_OPERATIONS
    values: dict[str, Any] = {
        "brokers": [this_broker(call)],
        "cluster_id": call.broker.cluster_id,
        "controller_id": call.broker.node_id,
        "topics": topics,
    }
    if getattr(request, "include_cluster_authorized_operations", False):
        values["cluster_authorized_operations"] = CLUSTER_OPERATIONS
    return values


async def _look_up(call: Call, entry: Any, auto_create: bool) -> dict[str, Any]:
    name, topic_id = entry.name, getattr(entry, "topic_id", None)
    if topic_id is not None and call.version < _BY_ID_FROM:
        return {"error_code": _INVALID_REQUEST, "name": name or "", "topic_id": topic_id}
    try:
        if name is None and topic_id is not None:
            return _describe(call, call.broker.topic_by_id(topic_id))
        check_topic_name(name or "")
        if auto_create:
            return _describe(call, await call.broker.get_or_create_topic(name))
        return _describe(call, call.broker.topic(name))
    except Exception as error:
        return {"error_code": code_of(error), "name": name, "topic_id": topic_id}


def _describe(call: Call, topic: Topic) -> dict[str, Any]:
    here = call.broker.node_id
    return {
        "error_code": 0,
        "name": topic.name,
        "topic_id": topic.id,
        "is_internal": topic.internal,
        "partitions": [
            {
                "error_code": 0,
                "partition_index": partition.index,
                "leader_id": here,
                "leader_epoch": partition.leader_epoch,
                "replica_nodes": (here,),
                "isr_nodes": (here,),
            }
            for partition in topic.partitions
        ],
    }
