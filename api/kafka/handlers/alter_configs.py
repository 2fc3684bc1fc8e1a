"""AlterConfigs, 0-2, the older way: what the request leaves out is reset."""

from __future__ import annotations

from typing import Any

from tidelog.api.kafka.encoding import Values
from tidelog.api.kafka.lookups import code_of
from tidelog.api.kafka.peer import Call

_TOPIC = 2
_INVALID_REQUEST = 42


async def handle(call: Call, request: Any) -> Values:
    """One answer for each resource."""
    answers = []
    for resource in request.resources:
        code, message = await _alter(call, resource, request.validate_only)
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
    if resource.resource_type != _TOPIC:
        return _INVALID_REQUEST, "only settings of topics can be changed while the broker runs"
    try:
        topic = call.broker.topic(resource.resource_name)
        changes: dict[str, str | None] = dict.fromkeys(topic.settings.overrides)
        changes.update({config.name: config.value for config in resource.configs})
        await call.broker.alter_topic(topic.name, changes, validate_only=validate_only)
    except Exception as error:
        return code_of(error), str(error)
    return 0, None
