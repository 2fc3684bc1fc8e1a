"""What AlterConfigs and IncrementalAlterConfigs share: settings of topics and groups change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidelog.api.kafka.config_fields import BROKER_RESOURCE, GROUP_RESOURCE, misused_resources
from tidelog.api.kafka.encoding import Values
from tidelog.api.kafka.lookups import code_of
from tidelog.api.kafka.peer import Call
from tidelog.broker.layered_settings import LayeredSettings
from tidelog.broker.topic_name import check_topic_name

Changes = dict[str, str | None]
ChangesOf = Callable[[LayeredSettings, Any], Changes]
_INVALID_REQUEST = 42


async def alter(call: Call, request: Any, changes_of: ChangesOf) -> Values:
    """One answer for each resource; all changes of a resource or none.

    ``changes_of`` finds what a resource of the request asks for, given the present settings.
    """
    answers = []
    misused = misused_resources(request.resources)
    for resource in request.resources:
        reason = misused.get((resource.resource_type, resource.resource_name))
        if reason is None:
            code, message = await _alter(call, resource, changes_of, request.validate_only)
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


async def _alter(
    call: Call, resource: Any, changes_of: ChangesOf, validate_only: bool
) -> tuple[int, str | None]:
    name = resource.resource_name
    if resource.resource_type == BROKER_RESOURCE:
        return _reset(call, name)
    try:
        if resource.resource_type == GROUP_RESOURCE:
            changes = changes_of(call.coordinator.settings_of(name), resource)
            await call.coordinator.alter_settings(name, changes, validate_only=validate_only)
        else:
            check_topic_name(name)
            changes = changes_of(call.broker.topic_to_change(name).settings, resource)
            await call.broker.alter_topic(name, changes, validate_only=validate_only)
    except Exception as error:
        return code_of(error), str(error)
    return 0, None


def _reset(call: Call, broker: str) -> tuple[int, str | None]:
    """Nothing of a broker was set while it ran; the empty name means all brokers."""
    if broker in ("", str(call.broker.node_id)):
        return 0, None
    return _INVALID_REQUEST, f"this is broker {call.broker.node_id}, not {broker!r}"
