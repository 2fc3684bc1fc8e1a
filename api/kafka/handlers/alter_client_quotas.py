"""AlterClientQuotas, 0-1: there are no quotas, so that none can be set, and any be removed."""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import ALTER_CONFIGS
from tidelog.api.error_codes import INVALID_REQUEST, UNSUPPORTED_VERSION
from tidelog.api.kafka.lookups import not_authorized
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=49, name="alter_client_quotas", versions=(0, 1), flexible_from=1)

_TYPES = ("user", "client-id", "ip")
_TWICE = INVALID_REQUEST, "it is there twice"


def handle(call: Call, request: Any) -> Values:
    """One answer for each entity; one that is there twice is refused."""
    forbidden = not_authorized(call, ALTER_CONFIGS)
    answers: dict[frozenset[tuple[str, str | None]], dict[str, Any]] = {}
    for entry in request.entries:
        entity = frozenset((one.entity_type, one.entity_name) for one in entry.entity)
        code, message = _TWICE if entity in answers else _fault(entry)
        answers[entity] = forbidden or {"error_code": code, "error_message": message}
    return {
        "entries": [
            {
                **answer,
                "entity": [{"entity_type": kind, "entity_name": name} for kind, name in entity],
            }
            for entity, answer in answers.items()
        ]
    }


def _fault(entry: Any) -> tuple[int, str | None]:
    kinds = {one.entity_type for one in entry.entity}
    if not kinds:
        return INVALID_REQUEST, "it is for nobody"
    for kind in kinds.difference(_TYPES):
        return INVALID_REQUEST, f"there is no entity type {kind!r}"
    if any(one.entity_name == "" for one in entry.entity):
        return INVALID_REQUEST, "a name is empty"
    if "ip" in kinds and len(kinds) > 1:
        return INVALID_REQUEST, "an address does not go with a user or a client id"
    if len({operation.key for operation in entry.ops}) < len(entry.ops):
        return _TWICE
    if not all(operation.remove for operation in entry.ops):
        return UNSUPPORTED_VERSION, "this broker has no quotas"
    return 0, None
