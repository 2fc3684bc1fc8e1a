"""DescribeDelegationToken, 1-3: refused as where nobody says who they are; there are no tokens."""

from __future__ import annotations

from typing import Any

from tidelog.api.error_codes import DELEGATION_TOKEN_REQUEST_NOT_ALLOWED
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=41, name="describe_delegation_token", versions=(1, 3), flexible_from=2)


def handle(call: Call, request: Any) -> Values:
    """As Apache Kafka on a connection without authentication."""
    return {"error_code": DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, "tokens": ()}
