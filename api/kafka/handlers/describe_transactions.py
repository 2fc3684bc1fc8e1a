"""DescribeTransactions, 0: there are none, of whatever id."""

from __future__ import annotations

from typing import Any

from tidelog.api.error_codes import INVALID_REQUEST, TRANSACTIONAL_ID_NOT_FOUND
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=65, name="describe_transactions", versions=(0, 0), flexible_from=0)


def handle(call: Call, request: Any) -> Values:
    """One answer for each id, also where one is asked for twice."""
    return {
        "transaction_states": [
            {
                "transactional_id": name,
                "error_code": TRANSACTIONAL_ID_NOT_FOUND if name else INVALID_REQUEST,
            }
            for name in request.transactional_ids
        ]
    }
