"""DescribeClientQuotas, 0-1: there are no quotas; a filter that has no sense is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidelog.api.caller import DESCRIBE_CONFIGS
from tidelog.api.error_codes import INVALID_REQUEST, UNSUPPORTED_VERSION
from tidelog.api.kafka.lookups import not_authorized
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=48, name="describe_client_quotas", versions=(0, 1), flexible_from=1)

_EXACT, _DEFAULT, _ANY = 0, 1, 2
_USER, _CLIENT, _IP = "user", "client-id", "ip"


def handle(call: Call, request: Any) -> Values:
    """Of a filter nobody matches: none of the entries, not null, which goes with an error."""
    refusal = not_authorized(call, DESCRIBE_CONFIGS)
    if refusal is not None:
        return {**refusal, "entries": None}
    code, message = _fault(request.components)
    return {"error_code": code, "error_message": message, "entries": None if code else ()}


def _fault(components: Sequence[Any]) -> tuple[int, str]:
    """Why a filter is refused, by the first of its components that is at fault; or 0."""
    seen: set[str] = set()
    for one in components:
        kind = one.entity_type
        if not kind:
            return INVALID_REQUEST, "an entity type is empty"
        if kind in seen:
            return INVALID_REQUEST, f"the entity type {kind} is there twice"
        if kind not in (_USER, _CLIENT, _IP):
            return UNSUPPORTED_VERSION, f"there is no entity type {kind}"
        if one.match_type not in (_EXACT, _DEFAULT, _ANY):
            return INVALID_REQUEST, f"there is no match type {one.match_type}"
        if (one.match_type == _EXACT) != (one.match is not None):
            return INVALID_REQUEST, "a name goes with an exact match, and with no other"
        seen.add(kind)
    if _IP in seen and len(seen) > 1:
        return INVALID_REQUEST, "an address does not go with a user or a client id"
    return 0, ""
