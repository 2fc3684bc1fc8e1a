"""DeleteAcls, 1-3: refused as by a Kafka without authorizer; there is no access control."""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import ALTER
from tidelog.api.kafka.lookups import NO_ACCESS_CONTROL, not_authorized
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=31, name="delete_acls", versions=(1, 3), flexible_from=2)


def handle(call: Call, request: Any) -> Values:
    """One refusal for each filter."""
    refusal = not_authorized(call, ALTER) or NO_ACCESS_CONTROL
    return {"filter_results": [{**refusal, "matching_acls": ()} for _ in request.filters]}
