"""InitProducerId, 0-5: ids for idempotent producers.

A transactional id is refused at once, with an error that every client treats as fatal.
"""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import IDEMPOTENT_WRITE
from tidelog.api.error_codes import INVALID_REQUEST
from tidelog.api.kafka.lookups import code_of
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.transactions import refuse
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=22, name="init_producer_id", versions=(0, 5), flexible_from=2)


async def handle(call: Call, request: Any) -> Values:
    """Always a new id: epochs of one that is known belong to transactions."""
    none = {"producer_id": -1, "producer_epoch": -1}
    if request.transactional_id is not None:
        name = request.transactional_id
        code = refuse(call, name) if name else INVALID_REQUEST
        return {"error_code": code, **none}
    known, epoch = getattr(request, "producer_id", -1), getattr(request, "producer_epoch", -1)
    if (known < 0) != (epoch < 0):
        return {"error_code": INVALID_REQUEST, **none}
    try:
        call.access.cluster(IDEMPOTENT_WRITE)
        producer_id = await call.broker.producer_ids.allocate()
    except Exception as error:
        return {"error_code": code_of(error), **none}
    return {"producer_id": producer_id, "producer_epoch": 0}
