"""DeleteTopics, 1-6: by name; from version 6 by id as well.

A topic that the request names twice, or by name and id at once, is refused and stays.
"""

from __future__ import annotations

import uuid
from typing import Any

from tidelog.api.caller import DELETE, DESCRIBE
from tidelog.api.error_codes import INVALID_REQUEST, TOPIC_DELETION_DISABLED
from tidelog.api.kafka.lookups import code_of
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values
from tidelog.broker.errors import BrokerError
from tidelog.broker.topic import Topic

API = Api(key=20, name="delete_topics", versions=(1, 6), flexible_from=4, alone=True)


Named = tuple[str | None, uuid.UUID | None]


async def handle(call: Call, request: Any) -> Values:
    """One answer for each topic."""
    asked: list[Named]
    if call.version >= 6:
        asked = [(one.name, one.topic_id) for one in request.topics]
    else:
        asked = [(name, None) for name in request.topic_names]
    topics: dict[Named, list[Named]] = {}
    for one in asked:
        topics.setdefault(_resolved(call, one), []).append(one)
    return {"responses": [await _delete(call, topic, times) for topic, times in topics.items()]}


def _resolved(call: Call, named: Named) -> Named:
    """With the name of the topic that has the id, as far as there is one."""
    name, topic_id = named
    if name is not None or topic_id is None:
        return named
    try:
        return call.access.topic(topic_id, DESCRIBE).name, None
    except BrokerError:
        return named


async def _delete(call: Call, named: Named, times: list[Named]) -> dict[str, Any]:
    """``times`` is how the request has it, each time that it has it."""
    name, topic_id = named
    given = next((one for _, one in times if one is not None), None)
    answer: dict[str, Any] = {"name": name, "topic_id": given}
    if not call.broker.settings["delete.topic.enable"]:
        return {**answer, "error_code": TOPIC_DELETION_DISABLED}
    if len(times) > 1 or (name is None) == (topic_id is None):
        message = "a topic is named once, by its name or by its id"
        return {**answer, "error_code": INVALID_REQUEST, "error_message": message}
    try:
        topic = _look_up(call, name, topic_id)
        answer = {"name": topic.name, "topic_id": topic.id}
        call.access.topic(topic.name, DELETE)
        await call.broker.delete_topic(topic.name)
    except Exception as error:
        return {**answer, "error_code": code_of(error), "error_message": str(error)}
    return {**answer, "error_code": 0}


def _look_up(call: Call, name: str | None, topic_id: uuid.UUID | None) -> Topic:
    if name is not None:
        return call.access.topic(name, DESCRIBE)
    return call.access.topic(topic_id or uuid.UUID(int=0), DESCRIBE)
