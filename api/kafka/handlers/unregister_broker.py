"""UnregisterBroker, 0: there is no other broker, and the one that there is stays."""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import ALTER
from tidelog.api.error_codes import BROKER_ID_NOT_REGISTERED, INVALID_REQUEST
from tidelog.api.kafka.lookups import not_authorized
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=64, name="unregister_broker", versions=(0, 0), flexible_from=0)


def handle(call: Call, request: Any) -> Values:
    """Always an error."""
    refusal = not_authorized(call, ALTER)
    if refusal is not None:
        return refusal
    if request.broker_id == call.broker.node_id:
        return {"error_code": INVALID_REQUEST, "error_message": "it is the only broker"}
    message = f"there is no broker {request.broker_id}"
    return {"error_code": BROKER_ID_NOT_REGISTERED, "error_message": message}
