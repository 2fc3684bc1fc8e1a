"""ListTransactions, 0-2: there are none; what is wrong with the filters is told."""

from __future__ import annotations

from typing import Any

from tidelog.api.kafka.lookups import code_of
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values
from tidelog.consumer_groups.consumer.topic_regex import matching

API = Api(key=66, name="list_transactions", versions=(0, 2), flexible_from=0)

_STATES = {
    *("Empty", "Ongoing", "PrepareCommit", "PrepareAbort"),
    *("CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence"),
}


def handle(call: Call, request: Any) -> Values:
    """A filter of no known state leaves the others as they are."""
    pattern = getattr(request, "transactional_id_pattern", None)
    try:
        matching(pattern or "", ())
    except Exception as error:
        return {"error_code": code_of(error), "transaction_states": ()}
    unknown = [state for state in request.state_filters if state not in _STATES]
    return {"error_code": 0, "unknown_state_filters": unknown, "transaction_states": ()}
