"""How transactional ids are refused: at once, for good, and with a line in the log.

Of all errors only this one makes every client stop at once: librdkafka tries again after any
other. It shows the message, Java's client, kafka-python and aiokafka have their own words, which
speak of authorization: the log says what is meant.
"""

from __future__ import annotations

from tidelog.api.error_codes import TRANSACTIONAL_ID_AUTHORIZATION_FAILED
from tidelog.api.kafka.peer import Call

NOT_SERVED = "this broker does not serve transactions yet"
_SHOWN_MAX = 100
"""Characters of an id; it may have 32767."""


def refuse(call: Call, transactional_id: str) -> int:
    """The error code, once the log has it."""
    client, asked = (name[:_SHOWN_MAX] for name in (call.client_id, transactional_id))
    detail = f"client id {client!r}, transactional id {asked!r}"
    call.refused.tell(call.peer.address, NOT_SERVED, detail)
    return TRANSACTIONAL_ID_AUTHORIZATION_FAILED
