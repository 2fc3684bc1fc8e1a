"""ExpireDelegationToken, 1-2: refused; there are no tokens."""

from __future__ import annotations

from typing import Any

from tidelog.api.kafka.encoding import Values
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.tokens import DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, NO_TIME


def handle(call: Call, request: Any) -> Values:
    """Always an error."""
    return {"error_code": DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, "expiry_timestamp": NO_TIME}
