"""AlterUserScramCredentials, 0: none are kept, so that there are none to delete either."""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import ALTER
from tidelog.api.error_codes import (
    RESOURCE_NOT_FOUND,
    UNACCEPTABLE_CREDENTIAL,
    UNSUPPORTED_SASL_MECHANISM,
    UNSUPPORTED_VERSION,
)
from tidelog.api.kafka.lookups import not_authorized
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=51, name="alter_user_scram_credentials", versions=(0, 0), flexible_from=0)

_SHA_256, _SHA_512 = 1, 2
_NOT_THERE = RESOURCE_NOT_FOUND, "there is no such password"
_NOT_KEPT = UNSUPPORTED_VERSION, "this broker keeps no passwords"


def handle(call: Call, request: Any) -> Values:
    """One answer for each user, of what is deleted before what is set."""
    forbidden = not_authorized(call, ALTER)
    if forbidden is not None:
        names = dict.fromkeys(one.name for one in (*request.deletions, *request.upsertions))
        return {"results": [{"user": name, **forbidden} for name in names]}
    refusals: dict[str, tuple[int, str]] = {}
    for changes, refusal in ((request.deletions, _NOT_THERE), (request.upsertions, _NOT_KEPT)):
        for change in changes:
            refusals.setdefault(change.name, _fault(change) or refusal)
    return {
        "results": [
            {"user": name, "error_code": code, "error_message": message}
            for name, (code, message) in refusals.items()
        ]
    }


def _fault(change: Any) -> tuple[int, str] | None:
    if not change.name:
        return UNACCEPTABLE_CREDENTIAL, "the user's name is empty"
    if change.mechanism not in (_SHA_256, _SHA_512):
        return UNSUPPORTED_SASL_MECHANISM, f"there is no SCRAM mechanism {change.mechanism}"
    return None
