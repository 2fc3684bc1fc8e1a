"""CreateTopics, 2-7: with settings; one replica, whatever factor is asked for.

Applications hard-code factors of 3; ``replication.factor.strict`` refuses them as Kafka does.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from tidelog.api.error_codes import INVALID_CONFIG, INVALID_REPLICA_ASSIGNMENT, INVALID_REQUEST
from tidelog.api.kafka.config_fields import config_fields
from tidelog.api.kafka.lookups import code_of
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values
from tidelog.broker.errors import InvalidReplicationFactor
from tidelog.broker.topic import Topic

API = Api(key=19, name="create_topics", versions=(2, 7), flexible_from=5, alone=True)

_DEFAULT = -1


async def handle(call: Call, request: Any) -> Values:
    """One answer for each topic."""
    repeated = {
        name for name, count in Counter(one.name for one in request.topics).items() if count > 1
    }
    validate_only = getattr(request, "validate_only", False)
    topics = []
    for one in request.topics:
        if one.name not in repeated:
            topics.append(await _create(call, one, validate_only))
        elif one.name not in {answer["name"] for answer in topics}:
            message = f"topic {one.name} stands twice in the request"
            topics.append(_refused(one.name, INVALID_REQUEST, message))
    return {"topics": topics}


async def _create(call: Call, asked: Any, validate_only: bool) -> dict[str, Any]:
    settings: dict[str, str] = {}
    for config in asked.configs:
        if config.value is None:
            message = f"{config.name}: a value is needed"
            return _refused(asked.name, INVALID_CONFIG, message)
        settings[config.name] = config.value
    partitions = None if asked.num_partitions == _DEFAULT else asked.num_partitions
    if asked.assignments:
        places = sorted(entry.partition_index for entry in asked.assignments)
        if asked.num_partitions != _DEFAULT or asked.replication_factor != _DEFAULT:
            message = "with assignments, partitions and replication factor must be -1"
            return _refused(asked.name, INVALID_REQUEST, message)
        if places != list(range(len(places))) or any(
            tuple(entry.broker_ids) != (call.broker.node_id,) for entry in asked.assignments
        ):
            message = f"partitions are assigned from 0 on, each to broker {call.broker.node_id}"
            return _refused(asked.name, INVALID_REPLICA_ASSIGNMENT, message)
        partitions = len(places)
    try:
        call.access.check_create(asked.name)
        _check_replication(call, asked.replication_factor)
        topic = await call.broker.create_topic(
            asked.name, partitions, settings, validate_only=validate_only
        )
    except Exception as error:
        return _refused(asked.name, code_of(error), str(error))
    if partitions is None:
        partitions = call.broker.settings["num.partitions"]
    return _created(topic, partitions)


def _check_replication(call: Call, factor: int) -> None:
    strict = call.broker.settings["replication.factor.strict"]
    if factor != _DEFAULT and (factor < 1 or (strict and factor > 1)):
        raise InvalidReplicationFactor(factor)


def _created(topic: Topic, partitions: int) -> dict[str, Any]:
    return {
        "name": topic.name,
        "topic_id": topic.id,
        "error_code": 0,
        "error_message": None,
        "num_partitions": partitions,
        "replication_factor": 1,
        "configs": [config_fields(value) for value in topic.settings.describe()],
    }


def _refused(name: str, code: int, message: str) -> dict[str, Any]:
    return {"name": name, "error_code": code, "error_message": message, "configs": ()}
