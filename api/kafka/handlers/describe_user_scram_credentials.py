"""DescribeUserScramCredentials, 0: nobody has a password here; who is asked for is unknown."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tidelog.api.caller import DESCRIBE
from tidelog.api.error_codes import DUPLICATE_RESOURCE, RESOURCE_NOT_FOUND
from tidelog.api.kafka.lookups import not_authorized
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=50, name="describe_user_scram_credentials", versions=(0, 0), flexible_from=0)


def handle(call: Call, request: Any) -> Values:
    """One answer for each user; null and none ask for all, of whom there are none."""
    refusal = not_authorized(call, DESCRIBE)
    if refusal is not None:
        return {**refusal, "results": ()}
    times = Counter(user.name for user in request.users or ())
    results = [_unknown(name) if count == 1 else _twice(name) for name, count in times.items()]
    return {"error_code": 0, "error_message": "", "results": results}


def _unknown(name: str) -> dict[str, Any]:
    message = f"there is no user {name!r} with a password"
    return {"user": name, "error_code": RESOURCE_NOT_FOUND, "error_message": message}


def _twice(name: str) -> dict[str, Any]:
    message = f"the user {name!r} is there twice"
    return {"user": name, "error_code": DUPLICATE_RESOURCE, "error_message": message}
