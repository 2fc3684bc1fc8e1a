"""AlterPartitionReassignments, 0-1: a partition may be given to the one broker, which has it."""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import ALTER, DESCRIBE
from tidelog.api.error_codes import INVALID_REPLICA_ASSIGNMENT, NO_REASSIGNMENT_IN_PROGRESS
from tidelog.api.kafka.lookups import code_of, not_authorized
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=45, name="alter_partition_reassignments", versions=(0, 1), flexible_from=0)


def handle(call: Call, request: Any) -> Values:
    """One answer for each partition."""
    refusal = not_authorized(call, ALTER)
    if refusal is not None:
        return {**refusal, "responses": ()}
    responses = [
        {
            "name": topic.name,
            "partitions": [_reassign(call, topic.name, asked) for asked in topic.partitions],
        }
        for topic in request.topics
    ]
    return {
        "allow_replication_factor_change": getattr(
            request, "allow_replication_factor_change", True
        ),
        "error_code": 0,
        "responses": responses,
    }


def _reassign(call: Call, topic: str, asked: Any) -> dict[str, Any]:
    """Null replicas cancel a reassignment; none is ever in progress."""
    index = {"partition_index": asked.partition_index}
    here = call.broker.node_id
    try:
        call.access.topic(topic, DESCRIBE).partition(asked.partition_index)
    except Exception as error:
        return {**index, "error_code": code_of(error), "error_message": str(error)}
    if asked.replicas is None:
        return {**index, "error_code": NO_REASSIGNMENT_IN_PROGRESS, "error_message": None}
    if tuple(asked.replicas) != (here,):
        message = f"a partition has one replica, on broker {here}"
        return {**index, "error_code": INVALID_REPLICA_ASSIGNMENT, "error_message": message}
    return {**index, "error_code": 0, "error_message": None}
