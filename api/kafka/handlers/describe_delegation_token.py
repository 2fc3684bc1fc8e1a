"""DescribeDelegationToken, 1-3: refused as where nobody says who they are; there are no tokens."""

from __future__ import annotations

from typing import Any

from tidelog.api.kafka.encoding import Values
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.tokens import DELEGATION_TOKEN_REQUEST_NOT_ALLOWED


def handle(call: Call, request: Any) -> Values:
    """As Apache Kafka on a connection without authentication."""
    return {"error_code": DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, "tokens": ()}
