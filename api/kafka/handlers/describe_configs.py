"""DescribeConfigs, 1-4: settings of topics, groups and the broker, their sources and synonyms."""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import DESCRIBE_CONFIGS
from tidelog.api.error_codes import INVALID_REQUEST
from tidelog.api.kafka.broker_loggers import logger_configs
from tidelog.api.kafka.config_fields import (
    BROKER_RESOURCE,
    GROUP,
    GROUP_RESOURCE,
    LOGGER_RESOURCE,
    TOPIC_RESOURCE,
    broker_configs,
    cluster_configs,
    config_fields,
)
from tidelog.api.kafka.lookups import code_of, not_authorized
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values
from tidelog.broker.topic_name import check_topic_name

API = Api(key=32, name="describe_configs", versions=(1, 4), flexible_from=4)

_CLIENT_METRICS = 16


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
    answer = {"resource_type": kind, "resource_name": name}
    wanted = set(resource.configuration_keys or ())
    if kind == TOPIC_RESOURCE:
        try:
            check_topic_name(name)
            values = call.access.topic(name, DESCRIBE_CONFIGS).settings.describe()
        except Exception as error:
            return {**answer, "error_code": code_of(error), "error_message": str(error)}
        configs = [config_fields(value) for value in values]
    elif kind in (BROKER_RESOURCE, LOGGER_RESOURCE):
        refusal = not_authorized(call, DESCRIBE_CONFIGS)
        if refusal is not None:
            return {**answer, **refusal}
        if name != str(call.broker.node_id) and (name or kind == LOGGER_RESOURCE):
            message = f"the broker is {call.broker.node_id}, not {name!r}"
            return {**answer, "error_code": INVALID_REQUEST, "error_message": message}
        configs = logger_configs(call.broker.settings.log_levels)
        if kind == BROKER_RESOURCE:
            # The empty name asks for what was set for all brokers.
            configs = broker_configs(call) if name else cluster_configs(call)
    elif kind == GROUP_RESOURCE:
        if not name:
            message = "a group has a name"
            return {**answer, "error_code": INVALID_REQUEST, "error_message": message}
        try:
            call.access.group(name, DESCRIBE_CONFIGS)
            values = call.coordinator.settings_of(name).describe()
        except Exception as error:
            return {**answer, "error_code": code_of(error), "error_message": str(error)}
        configs = [config_fields(value, GROUP) for value in values]
    elif kind == _CLIENT_METRICS:
        configs = []
    else:
        message = f"resources of type {kind} have no settings"
        return {**answer, "error_code": INVALID_REQUEST, "error_message": message}
    chosen = [config for config in configs if not wanted or config["name"] in wanted]
    return {**answer, "error_code": 0, "error_message": "", "configs": chosen}
