"""DescribeCluster, 0-2: one broker, which is its own controller."""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import CLUSTER
from tidelog.api.error_codes import MISMATCHED_ENDPOINT_TYPE, UNSUPPORTED_ENDPOINT_TYPE
from tidelog.api.kafka.lookups import this_broker
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=60, name="describe_cluster", versions=(0, 2), flexible_from=0)

_BROKERS = 1


def handle(call: Call, request: Any) -> Values:
    """Controllers cannot be asked for here: there is no separate one."""
    kind = getattr(request, "endpoint_type", _BROKERS)
    if kind != _BROKERS:
        code = MISMATCHED_ENDPOINT_TYPE if kind == 2 else UNSUPPORTED_ENDPOINT_TYPE
        return {"error_code": code, "error_message": "this is a broker", "cluster_id": ""}
    values = {
        "error_code": 0,
        "endpoint_type": kind,
        "cluster_id": call.broker.cluster_id,
        "controller_id": call.broker.node_id,
        "brokers": [this_broker(call)],
    }
    if request.include_cluster_authorized_operations:
        values["cluster_authorized_operations"] = call.access.operations(CLUSTER)
    return values
