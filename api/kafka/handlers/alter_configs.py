"""AlterConfigs, 0-2, the older way: what the request leaves out is reset."""

from __future__ import annotations

from typing import Any

from tidelog.api.kafka.config_fields import misused_resources
from tidelog.api.kafka.encoding import Values
from tidelog.api.kafka.lookups import code_of
from tidelog.api.kafka.peer import Call
from tidelog.broker.topic_name import check_topic_name

_INVALID_REQUEST = 42


async def handle(call: Call, request: Any) -> Values:
    """One answer for each resource."""
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
    try:
        check_topic_name(resource.resource_name)
        topic = call.broker.topic(resource.resource_name)
        changes: dict[str, str | None] = dict.fromkeys(topic.settings.overrides)
        changes.update({config.name: config.value for config in resource.configs})
        await call.broker.alter_topic(topic.name, changes, validate_only=validate_only)
    except Exception as error:
        return code_of(error), str(error)
    return 0, None
