"""CreateDelegationToken, 1-3: refused, in the name of who asks."""

from __future__ import annotations

from typing import Any

from tidelog.api.error_codes import DELEGATION_TOKEN_REQUEST_NOT_ALLOWED
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.tokens import ANYBODY, NO_TIME
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=38, name="create_delegation_token", versions=(1, 3), flexible_from=2)


def handle(call: Call, request: Any) -> Values:
    """No token."""
    kind, name = ANYBODY
    values: dict[str, Any] = {
        "error_code": DELEGATION_TOKEN_REQUEST_NOT_ALLOWED,
        "principal_type": kind,
        "principal_name": name,
        "issue_timestamp": NO_TIME,
        "expiry_timestamp": NO_TIME,
        "max_timestamp": NO_TIME,
    }
    if call.version >= 3:
        values["token_requester_principal_type"] = kind
        values["token_requester_principal_name"] = name
    return values
