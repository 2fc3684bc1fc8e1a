"""UpdateFeatures, 0-2: this broker has no features that a cluster agrees on, as ApiVersions says.

One that cannot be changed keeps all of them from being, as in Apache Kafka.
"""

from __future__ import annotations

from typing import Any

from tidelog.api.kafka.encoding import Values
from tidelog.api.kafka.peer import Call

_FEATURE_UPDATE_FAILED = 95


def handle(call: Call, request: Any) -> Values:
    """No error where nothing is asked for."""
    for one in request.feature_updates:
        message = f"nothing is updated: this broker has no feature {one.feature!r}"
        return {"error_code": _FEATURE_UPDATE_FAILED, "error_message": message}
    return {"error_code": 0, "error_message": None}
