"""DeleteTopics, 1-6: by name; from version 6 by id as well."""

from __future__ import annotations

from typing import Any

from tidelog.api.kafka.encoding import Values
from tidelog.api.kafka.lookups import code_of
from tidelog.api.kafka.peer import Call
from tidelog.broker.errors import InvalidTopicName

_TOPIC_DELETION_DISABLED = 73


async def handle(call: Call, request: Any) -> Values:
    """One answer for each topic."""
    if call.version >= 6:
        asked = [(one.name, one.topic_id) for one in request.topics]
    else:
        asked = [(name, None) for name in request.topic_names]
    return {"responses": [await _delete(call, name, topic_id) for name, topic_id in asked]}


async def _delete(call: Call, name: str | None, topic_id: Any) -> dict[str, Any]:
    answer = {"name": name, "topic_id": topic_id}
    if not call.broker.settings["delete.topic.enable"]:
        return {**answer, "error_code": _TOPIC_DELETION_DISABLED}
    try:
        topic = call.broker.topic_by_id(topic_id) if name is None else call.broker.topic(name)
        answer = {"name": topic.name, "topic_id": topic.id}
        if topic.internal:
            raise InvalidTopicName(topic.name, "it belongs to the broker")
        await call.broker.delete_topic(topic.name)
    except Exception as error:
        return {**answer, "error_code": code_of(error), "error_message": str(error)}
    return {**answer, "error_code": 0}
