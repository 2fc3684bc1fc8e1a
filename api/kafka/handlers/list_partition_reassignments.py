"""ListPartitionReassignments, 0: nothing moves where there is one broker."""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import DESCRIBE
from tidelog.api.kafka.lookups import not_authorized
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=46, name="list_partition_reassignments", versions=(0, 0), flexible_from=0)


def handle(call: Call, request: Any) -> Values:
    """Only reassignments in progress are told, and partitions unknown to a broker are not."""
    refusal = not_authorized(call, DESCRIBE)
    if refusal is not None:
        return {**refusal, "topics": ()}
    return {"error_code": 0, "topics": ()}
