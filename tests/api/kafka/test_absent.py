"""What this broker does not keep is refused when it is to be set, with a reason that says so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.kafka_wire import Message, Wire, encode_request

_INVALID_REQUEST, _UNSUPPORTED_VERSION = 42, 35
_ILLEGAL_SASL_STATE, _FEATURE_UPDATE_FAILED = 34, 95
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


@pytest.mark.parametrize("version", [1, 2])
def test_no_feature_is_changed(wire: Wire, version: int) -> None:
    update = {"feature": "no.such", "max_version_level": 1, "upgrade_type": 1}
    answer = wire.ask("update_features", version, timeout_ms=1, feature_updates=[update])
    assert answer["error_code"] == _FEATURE_UPDATE_FAILED
    assert "no feature 'no.such'" in answer["error_message"]
    assert wire.ask("update_features", version, timeout_ms=1, feature_updates=[])["error_code"] == 0


def test_nobody_says_who_they_are(wire: Wire) -> None:
    answer = wire.ask("sasl_authenticate", 2, auth_bytes=b"\0user\0password")
    assert answer["error_code"] == _ILLEGAL_SASL_STATE
    assert "no authentication" in answer["error_message"]


_NEVER = "ff" * 8
_ANYBODY = "0555736572" + "0a414e4f4e594d4f5553"
TOKENS = [
    ("create", 1, f"0040 000455736572 0009414e4f4e594d4f5553 {_NEVER * 3} 0000 00000000 00000000"),
    ("create", 2, f"00 0040 {_ANYBODY} {_NEVER * 3} 01 01 00000000 00"),
    ("create", 3, f"00 0040 {_ANYBODY * 2} {_NEVER * 3} 01 01 00000000 00"),
    ("renew", 1, f"0040 {_NEVER} 00000000"),
    ("renew", 2, f"00 0040 {_NEVER} 00000000 00"),
    ("expire", 1, f"0040 {_NEVER} 00000000"),
    ("expire", 2, f"00 0040 {_NEVER} 00000000 00"),
]
"""What Apache Kafka 4.3 answers on a listener without authentication."""


@pytest.mark.parametrize(("verb", "version", "golden"), TOKENS)
@pytest.mark.parametrize("time_ms", [-1, 0, 86_400_000])
def test_no_token_is_given(wire: Wire, verb: str, version: int, golden: str, time_ms: int) -> None:
    time = timedelta(milliseconds=time_ms)
    fields: Message = {
        "create": {"renewers": (), "max_lifetime": time},
        "renew": {"hmac": b"token", "renew_period": time},
        "expire": {"hmac": b"token", "expiry_time_period": time},
    }[verb]
    if (verb, version) == ("create", 3):
        fields |= {"owner_principal_type": None, "owner_principal_name": None}
    wire.send(encode_request(f"{verb}_delegation_token", version, fields))
    assert wire.receive() == bytes.fromhex("00000001 " + golden)
