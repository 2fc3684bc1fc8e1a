"""What this broker does not keep is refused when it is to be set, with a reason that says so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.kafka_wire import Message, Wire

_INVALID_REQUEST, _UNSUPPORTED_VERSION = 42, 35
_SCRAM_SHA_256 = 1


@pytest.fixture
def wire(broker: BrokerProcess) -> Iterator[Wire]:
    connection = Wire(broker.kafka)
    yield connection
    connection.close()


@pytest.mark.parametrize("only", [True, False])
@pytest.mark.parametrize("version", [0, 1])
def test_no_quota_is_set(wire: Wire, version: int, only: bool) -> None:
    user: Message = {"entity_type": "user", "entity_name": "u"}
    change = {"key": "producer_byte_rate", "value": 1024.0, "remove": False}
    entries = [{"entity": [user], "ops": [change]}]
    answer = wire.ask("alter_client_quotas", version, entries=entries, validate_only=only)
    (entry,) = answer["entries"]
    assert (entry["error_code"], entry["entity"]) == (_UNSUPPORTED_VERSION, [user])
    assert "quotas" in entry["error_message"]


def test_no_password_is_set(wire: Wire) -> None:
    secret = {"iterations": 4096, "salt": b"salt", "salted_password": b"password"}
    user = {"name": "u", "mechanism": _SCRAM_SHA_256, **secret}
    answer = wire.ask("alter_user_scram_credentials", 0, deletions=[], upsertions=[user])
    (result,) = answer["results"]
    assert (result["user"], result["error_code"]) == ("u", _UNSUPPORTED_VERSION)
    assert "passwords" in result["error_message"]


def test_the_broker_stays(wire: Wire) -> None:
    here = wire.ask("metadata", 9, topics=[])["controller_id"]
    answer = wire.ask("unregister_broker", 0, broker_id=here)
    assert answer["error_code"] == _INVALID_REQUEST
    assert "only broker" in answer["error_message"]
