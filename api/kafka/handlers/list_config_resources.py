"""ListConfigResources, 0-1: what DescribeConfigs can be asked about.

Version 0 knew client metrics only, of which there are none.
"""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import DESCRIBE_CONFIGS
from tidelog.api.error_codes import UNSUPPORTED_VERSION
from tidelog.api.kafka.lookups import not_authorized
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=74, name="list_config_resources", versions=(0, 1), flexible_from=0)

_TOPIC, _BROKER, _BROKER_LOGGER, _CLIENT_METRICS, _GROUP = 2, 4, 8, 16, 32
_ALL = (_TOPIC, _BROKER, _BROKER_LOGGER, _CLIENT_METRICS, _GROUP)


def handle(call: Call, request: Any) -> Values:
    """The resources of the types asked for, or of all."""
    wanted = set(getattr(request, "resource_types", (_CLIENT_METRICS,)) or _ALL)
    if not wanted.issubset(_ALL):
        return {"error_code": UNSUPPORTED_VERSION, "config_resources": ()}
    refusal = not_authorized(call, DESCRIBE_CONFIGS)
    if refusal is not None:
        return {**refusal, "config_resources": ()}
    resources: list[dict[str, Any]] = [
        {"resource_type": kind, "resource_name": str(call.broker.node_id)}
        for kind in (_BROKER, _BROKER_LOGGER)
        if kind in wanted
    ]
    if _GROUP in wanted:
        resources += (
            {"resource_type": _GROUP, "resource_name": name}
            for name in call.coordinator.groups_with_settings()
        )
    if _TOPIC in wanted:
        resources += (
            {"resource_type": _TOPIC, "resource_name": topic.name}
            for topic in call.access.topics(DESCRIBE_CONFIGS)
        )
    return {"error_code": 0, "config_resources": resources}
