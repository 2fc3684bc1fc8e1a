"""RenewDelegationToken, 1-2: refused; there are no tokens."""

from __future__ import annotations

from typing import Any

from tidelog.api.error_codes import DELEGATION_TOKEN_REQUEST_NOT_ALLOWED
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.tokens import NO_TIME
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=39, name="renew_delegation_token", versions=(1, 2), flexible_from=2)


def handle(call: Call, request: Any) -> Values:
    """Always an error."""
    return {"error_code": DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, "expiry_timestamp": NO_TIME}
