"""SaslHandshake, 0-1: refused as on a listener without authentication, so that clients say why."""

from __future__ import annotations

from typing import Any

from tidelog.api.error_codes import ILLEGAL_SASL_STATE
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=17, name="sasl_handshake", versions=(0, 1))


def handle(call: Call, request: Any) -> Values:
    """There is no mechanism."""
    return {"error_code": ILLEGAL_SASL_STATE, "mechanisms": ()}
