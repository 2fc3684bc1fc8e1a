"""UpdateFeatures, 0-2: this broker has no features that a cluster agrees on, as ApiVersions says.

One that cannot be changed keeps all of them from being, as in Apache Kafka.
"""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import ALTER
from tidelog.api.error_codes import FEATURE_UPDATE_FAILED
from tidelog.api.kafka.lookups import not_authorized
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=57, name="update_features", versions=(0, 2), flexible_from=0)


def handle(call: Call, request: Any) -> Values:
    """No error where nothing is asked for."""
    refusal = not_authorized(call, ALTER)
    if refusal is not None:
        return refusal
    for one in request.feature_updates:
        message = f"nothing is updated: this broker has no feature {one.feature!r}"
        return {"error_code": FEATURE_UPDATE_FAILED, "error_message": message}
    return {"error_code": 0, "error_message": None}
