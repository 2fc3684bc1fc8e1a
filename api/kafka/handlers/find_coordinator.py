"""FindCoordinator, 0-6: this broker coordinates everything; batched from version 4.

The topic of committed offsets is there once a group's coordinator was asked for, as in Kafka.
Transactions are refused with an error that clients treat as fatal, so that none waits for a
coordinator for ever.
"""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import DESCRIBE
from tidelog.api.error_codes import INVALID_REQUEST
from tidelog.api.kafka.lookups import code_of, this_broker
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.transactions import NOT_SERVED, refuse
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values
from tidelog.consumer_groups.errors import GroupError

API = Api(key=10, name="find_coordinator", versions=(0, 6), flexible_from=3)

_GROUP, _TRANSACTION = 0, 1


async def handle(call: Call, request: Any) -> Values:
    """One answer for each key; in versions before 4 the answer itself.

    Without an error Apache Kafka does not leave the message null, and neither do we.
    """
    kind = getattr(request, "key_type", _GROUP)
    keys = request.coordinator_keys if call.version >= 4 else (request.key,)
    answers = [await _answer(call, kind, key) for key in keys]
    if call.version >= 4:
        return {"coordinators": answers}
    return answers[0]


async def _answer(call: Call, kind: int, key: str) -> dict[str, Any]:
    error, message = 0, "" if call.version >= 4 else "NONE"
    if kind == _TRANSACTION:
        error, message = refuse(call, key), NOT_SERVED
    elif kind != _GROUP:
        error, message = INVALID_REQUEST, f"coordinators of type {kind} are not supported"
    else:
        try:
            call.access.group(key, DESCRIBE)
            await call.coordinator.topic_exists()
        except GroupError as unavailable:
            error, message = code_of(unavailable), str(unavailable)
    if error:
        nowhere = {"node_id": -1, "host": "", "port": -1}
        return {"key": key, "error_code": error, "error_message": message, **nowhere}
    return {"key": key, "error_code": 0, "error_message": message, **this_broker(call)}
