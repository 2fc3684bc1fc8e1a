"""ApiVersions, 0-4: computed from the table of what is served.

The response header is always version 0, and an unknown version is answered in version 0 with the
list (KIP-511).
"""

from __future__ import annotations

import re
from typing import Any

from tidelog.api.error_codes import INVALID_REQUEST, UNSUPPORTED_VERSION
from tidelog.api.kafka.api_table import APIS
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=18, name="api_versions", versions=(0, 4), flexible_from=3, flexible_head=False)

_SOFTWARE = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?\Z")


def handle(call: Call, request: Any) -> Values:
    """``request`` None: the version was unknown."""
    error = 0
    if request is None:
        error = UNSUPPORTED_VERSION
    elif call.version >= 3 and not (
        _SOFTWARE.match(request.client_software_name)
        and _SOFTWARE.match(request.client_software_version)
    ):
        return {"error_code": INVALID_REQUEST}
    return {
        "error_code": error,
        "api_keys": [
            {
                "api_key": api.key,
                "min_version": api.min_version
                if api.advertised_min is None
                else api.advertised_min,
                "max_version": api.max_version,
            }
            for api in APIS.values()
        ],
        "finalized_features_epoch": 0,
    }
