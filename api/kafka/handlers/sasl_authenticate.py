"""SaslAuthenticate, 0-2: refused as on a listener without authentication, where all are known."""

from __future__ import annotations

from typing import Any

from tidelog.api.kafka.encoding import Values
from tidelog.api.kafka.peer import Call

_ILLEGAL_SASL_STATE = 34


def handle(call: Call, request: Any) -> Values:
    """Always an error."""
    message = "this listener has no authentication; connect with security.protocol=PLAINTEXT"
    return {"error_code": _ILLEGAL_SASL_STATE, "error_message": message}
