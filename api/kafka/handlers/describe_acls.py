"""DescribeAcls, 1-3: refused as by a Kafka without authorizer; there is no access control."""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import DESCRIBE
from tidelog.api.kafka.lookups import NO_ACCESS_CONTROL, not_authorized
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=29, name="describe_acls", versions=(1, 3), flexible_from=2)


def handle(call: Call, request: Any) -> Values:
    """An error that administration tools know as: nothing to show."""
    return {**(not_authorized(call, DESCRIBE) or NO_ACCESS_CONTROL), "resources": ()}
