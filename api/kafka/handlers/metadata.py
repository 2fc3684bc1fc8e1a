"""Metadata, 0-13: topics by name (or by id from 12), the one broker, auto-creation.

Null topics mean all; in version 0 an empty list does. A topic that is missing is made, where the
client (from version 4) and the settings allow it, but answered as missing, as in Kafka. A request
with an id is about ids alone, whatever names it has.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tidelog.api.caller import CLUSTER, DESCRIBE, TOPIC
from tidelog.api.error_codes import INVALID_REQUEST
from tidelog.api.kafka.lookups import code_of, partition_fields, this_broker
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values
from tidelog.broker.errors import BrokerError, UnknownTopic
from tidelog.broker.topic import Topic
from tidelog.broker.topic_name import check_topic_name

API = Api(key=3, name="metadata", versions=(0, 13), flexible_from=9, alone=True)

_BY_ID_FROM = 12


async def handle(call: Call, request: Any) -> Values:
    """All topics or those asked for."""
    asked = request.topics
    if asked is None or (call.version == 0 and not asked):
        topics = [_describe(call, topic) for topic in call.access.topics(DESCRIBE)]
    elif call.version < _BY_ID_FROM and any(map(_is_by_id, asked)):
        return {
            "topics": [_refused(one.name or "", one.topic_id, INVALID_REQUEST) for one in asked]
        }
    else:
        topics = await _look_up(call, request)
    if getattr(request, "include_topic_authorized_operations", False):
        for topic in topics:
            topic["topic_authorized_operations"] = call.access.operations(
                TOPIC, topic["name"] or ""
            )
    values: dict[str, Any] = {
        "brokers": [this_broker(call)],
        "cluster_id": call.broker.cluster_id,
        "controller_id": call.broker.node_id,
        "topics": topics,
    }
    if getattr(request, "include_cluster_authorized_operations", False):
        values["cluster_authorized_operations"] = call.access.operations(CLUSTER)
    return values


def _is_by_id(entry: Any) -> bool:
    return entry.name is None or getattr(entry, "topic_id", None) is not None


async def _look_up(call: Call, request: Any) -> list[dict[str, Any]]:
    ids = [entry.topic_id for entry in request.topics if getattr(entry, "topic_id", None)]
    if ids:
        return [_by_id(call, topic_id) for topic_id in dict.fromkeys(ids)]
    auto_create = getattr(request, "allow_auto_topic_creation", True)
    names = dict.fromkeys(entry.name for entry in request.topics)
    return [await _by_name(call, name, auto_create) for name in names]


async def _by_name(call: Call, name: str | None, auto_create: bool) -> dict[str, Any]:
    """A topic that is made now is not there yet, as in Kafka: clients ask again."""
    try:
        check_topic_name(name or "")
        return _describe(call, call.access.topic(name or "", DESCRIBE))
    except BrokerError as error:
        code = code_of(error)
        if auto_create and isinstance(error, UnknownTopic):
            code = await _create(call, error.topic) or code
    return _refused(name, None, code)


async def _create(call: Call, name: str) -> int:
    """The error that keeps a topic from being made, or 0."""
    try:
        call.access.check_create(name)
        await call.broker.auto_create_topic(name)
    except Exception as error:
        return code_of(error)
    return 0


def _by_id(call: Call, topic_id: UUID) -> dict[str, Any]:
    try:
        return _describe(call, call.access.topic(topic_id, DESCRIBE))
    except Exception as error:
        return _refused(None, topic_id, code_of(error))


def _refused(name: str | None, topic_id: UUID | None, code: int) -> dict[str, Any]:
    return {"error_code": code, "name": name, "topic_id": topic_id}


def _describe(call: Call, topic: Topic) -> dict[str, Any]:
    return {
        "error_code": 0,
        "name": topic.name,
        "topic_id": topic.id,
        "is_internal": topic.internal,
        "partitions": [partition_fields(call, partition) for partition in topic.partitions],
    }
