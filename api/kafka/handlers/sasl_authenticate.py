"""SaslAuthenticate, 0-2: refused as on a listener without authentication, where all are known."""

from __future__ import annotations

from typing import Any

from tidelog.api.error_codes import ILLEGAL_SASL_STATE
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=36, name="sasl_authenticate", versions=(0, 2), flexible_from=2)


def handle(call: Call, request: Any) -> Values:
    """Always an error."""
    message = "this listener has no authentication; connect with security.protocol=PLAINTEXT"
    return {"error_code": ILLEGAL_SASL_STATE, "error_message": message}
