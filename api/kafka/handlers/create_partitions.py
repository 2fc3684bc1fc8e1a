"""CreatePartitions, 0-3: raise a topic's number of partitions."""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import ALTER
from tidelog.api.error_codes import INVALID_REPLICA_ASSIGNMENT, INVALID_REQUEST
from tidelog.api.kafka.lookups import code_of
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=37, name="create_partitions", versions=(0, 3), flexible_from=2, alone=True)


async def handle(call: Call, request: Any) -> Values:
    """One answer for each topic."""
    by_name: dict[str, list[Any]] = {}
    for one in request.topics:
        by_name.setdefault(one.name, []).append(one)
    results = []
    for name, asked in by_name.items():
        if len(asked) == 1:
            results.append(await _raise(call, asked[0], request.validate_only))
        else:
            message = f"topic {name} stands {len(asked)} times in the request"
            results.append({"name": name, "error_code": INVALID_REQUEST, "error_message": message})
    return {"results": results}


async def _raise(call: Call, asked: Any, validate_only: bool) -> dict[str, Any]:
    try:
        present = len(call.access.topic(asked.name, ALTER).partitions)
        if asked.assignments is not None and (
            len(asked.assignments) != asked.count - present
            or any(tuple(one.broker_ids) != (call.broker.node_id,) for one in asked.assignments)
        ):
            message = f"each new partition is assigned to broker {call.broker.node_id}"
            return {
                "name": asked.name,
                "error_code": INVALID_REPLICA_ASSIGNMENT,
                "error_message": message,
            }
        await call.broker.add_partitions(asked.name, asked.count, validate_only=validate_only)
    except Exception as error:
        return {"name": asked.name, "error_code": code_of(error), "error_message": str(error)}
    return {"name": asked.name, "error_code": 0}
