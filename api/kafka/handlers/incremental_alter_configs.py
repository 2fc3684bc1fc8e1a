"""IncrementalAlterConfigs, 0-1: set, delete, append to or subtract from settings of topics.

Those of the broker can be deleted, without effect: Apache Kafka's tools clear up behind themselves.
"""

from __future__ import annotations

from typing import Any

from tidelog.api.kafka.config_fields import BROKER_RESOURCE, DELETE_OPERATION, misused_resources
from tidelog.api.kafka.encoding import Values
from tidelog.api.kafka.lookups import code_of
from tidelog.api.kafka.peer import Call
from tidelog.broker.errors import InvalidSetting
from tidelog.broker.settings import find
from tidelog.broker.topic_name import check_topic_name
from tidelog.broker.topic_settings import TOPIC_SETTINGS, TopicSettings

_SET, _APPEND, _SUBTRACT = 0, 2, 3
_INVALID_REQUEST = 42


async def handle(call: Call, request: Any) -> Values:
    """One answer for each resource; all changes of a resource or none."""
    answers = []
    misused = misused_resources(request.resources)
    for resource in request.resources:
        reason = misused.get((resource.resource_type, resource.resource_name))
        if reason is None:
            code, message = await _alter(call, resource, request.validate_only)
        else:
            code, message = _INVALID_REQUEST, reason
        answers.append(
            {
                "error_code": code,
                "error_message": message,
                "resource_type": resource.resource_type,
                "resource_name": resource.resource_name,
            }
        )
    return {"responses": answers}


async def _alter(call: Call, resource: Any, validate_only: bool) -> tuple[int, str | None]:
    if resource.resource_type == BROKER_RESOURCE:
        return _reset(call, resource.resource_name)
    try:
        check_topic_name(resource.resource_name)
        topic = call.broker.topic(resource.resource_name)
        changes = {config.name: _changed(topic.settings, config) for config in resource.configs}
        await call.broker.alter_topic(topic.name, changes, validate_only=validate_only)
    except Exception as error:
        return code_of(error), str(error)
    return 0, None


def _reset(call: Call, broker: str) -> tuple[int, str | None]:
    """Nothing of a broker was set while it ran; the empty name means all brokers."""
    if broker in ("", str(call.broker.node_id)):
        return 0, None
    return _INVALID_REQUEST, f"this is broker {call.broker.node_id}, not {broker!r}"


def _changed(settings: TopicSettings, config: Any) -> str | None:
    """The new text of a setting, None to reset it. Raises InvalidSetting."""
    name, value = config.name, config.value
    if config.config_operation == DELETE_OPERATION:
        return None
    setting = find(TOPIC_SETTINGS, name, value)
    if config.config_operation == _SET:
        return str(value)
    if setting.kind != "list":
        raise InvalidSetting(name, value, "only lists can be appended to or subtracted from")
    given = [part.strip() for part in value.split(",") if part.strip()]
    present = list(settings[name])
    if config.config_operation == _APPEND:
        return ",".join([*present, *(part for part in given if part not in present)])
    if config.config_operation == _SUBTRACT:
        return ",".join(part for part in present if part not in given)
    raise InvalidSetting(name, value, f"operation {config.config_operation} is unknown")
