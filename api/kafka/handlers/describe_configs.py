"""DescribeConfigs, 1-4: settings of topics and of the broker, truthful to source and synonyms."""

from __future__ import annotations

from typing import Any

from tidelog.api.kafka.config_fields import broker_config_fields, topic_config_fields
from tidelog.api.kafka.encoding import Values
from tidelog.api.kafka.lookups import NODE_ID, code_of
from tidelog.api.kafka.peer import Call

TOPIC, BROKER = 2, 4
_BROKER_LOGGER, _CLIENT_METRICS, _GROUP = 8, 16, 32
_INVALID_REQUEST = 42


def handle(call: Call, request: Any) -> Values:
    """One answer for each resource."""
    results = []
    for resource in request.resources:
        answer = _describe(call, resource)
        for config in answer.get("configs", ()):
            if not getattr(request, "include_synonyms", False):
                config["synonyms"] = ()
            if not getattr(request, "include_documentation", False):
                config["documentation"] = None
        results.append(answer)
    return {"results": results}


def _describe(call: Call, resource: Any) -> dict[str, Any]:
    name, kind = resource.resource_name, resource.resource_type
    answer = {"resource_type": kind, "resource_name": name, "error_message": None}
    keys = resource.configuration_keys
    wanted = None if keys is None else set(keys)
    if kind == TOPIC:
        try:
            values = call.broker.topic(name).settings.describe()
        except Exception as error:
            return {**answer, "error_code": code_of(error), "error_message": str(error)}
        configs = [topic_config_fields(value) for value in values]
    elif kind == BROKER:
        if name not in ("", str(NODE_ID)):
            message = f"the broker is {NODE_ID}, not {name}"
            return {**answer, "error_code": _INVALID_REQUEST, "error_message": message}
        configs = [broker_config_fields(value) for value in call.broker.settings.describe()]
        if not name:
            configs = [config for config in configs if config["config_source"] == 3]
    elif kind in (_BROKER_LOGGER, _CLIENT_METRICS, _GROUP):
        configs = []
    else:
        message = f"resources of type {kind} have no settings"
        return {**answer, "error_code": _INVALID_REQUEST, "error_message": message}
    chosen = [config for config in configs if wanted is None or config["name"] in wanted]
    return {**answer, "error_code": 0, "configs": chosen}
