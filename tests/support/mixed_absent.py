"""Requests about what there is none of: quotas, passwords, transactions, other brokers, tokens.

What Apache Kafka would keep, and we refuse, is not among them.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.support.kafka_wire import Message
from tests.support.mixed_scene import Requests, Scene

_EXACT, _DEFAULT, _ANY = 0, 1, 2
_SHA_256 = 1


def describe_client_quotas(scene: Scene, version: int) -> Iterator[Message]:
    user, address = ("user", _ANY, None), ("ip", _ANY, None)
    nobody = ("ip", _EXACT, "no address")
    good = [(), (user,), (("user", _EXACT, "u"), ("client-id", _DEFAULT, None)), (nobody,)]
    odd = [("", _ANY, None), ("no-such", _ANY, None), ("user", 9, None), ("user", _EXACT, None)]
    odd += [("user", _DEFAULT, "u"), ("user", _ANY, "u"), ("no-such", 9, None)]
    bad = [*((one,) for one in odd), (user, user), (address, user), (user, odd[0])]
    for filters in (*good, *bad):
        components = [
            {"entity_type": kind, "match_type": match_type, "match": match}
            for kind, match_type, match in filters
        ]
        for strict in (True, False):
            yield {"components": components, "strict": strict}


def alter_client_quotas(scene: Scene, version: int) -> Iterator[Message]:
    removal = {"key": "producer_byte_rate", "value": 0.0, "remove": True}
    entities: list[list[tuple[str, str | None]]] = [
        *([("user", "u")], [("user", None)], [("user", "u"), ("client-id", "c")]),
        *([], [("no-such", "u")], [("", "u")], [("user", "")], [("user", "v"), ("ip", "::1")]),
        *([("user", "w")], [("user", "w")]),
    ]
    entries = [
        {
            "entity": [{"entity_type": kind, "entity_name": name} for kind, name in entity],
            "ops": [removal],
        }
        for entity in entities
    ]
    client = [{"entity_type": "client-id", "entity_name": "c"}]
    for operations in ([removal, removal], []):
        yield {"entries": [{"entity": client, "ops": operations}], "validate_only": False}
    for only in (True, False):
        yield {"entries": entries, "validate_only": only}


def describe_user_scram_credentials(scene: Scene, version: int) -> Iterator[Message]:
    for names in ((), ("u", "", "twice", "v", "twice")):
        yield {"users": [{"name": name} for name in names]}
    yield {"users": None}


def alter_user_scram_credentials(scene: Scene, version: int) -> Iterator[Message]:
    named = [("u", _SHA_256), ("", _SHA_256), ("v", 9), ("w", 0)]
    deletions = [{"name": name, "mechanism": mechanism} for name, mechanism in named]
    # Of a user both deleted and set the first is told.
    secret = {"salt": b"salt", "salted_password": b"password", "iterations": 4096}
    yield {"deletions": deletions, "upsertions": [{**deletions[0], **secret}]}
    yield {"deletions": [], "upsertions": [{**one, **secret} for one in deletions[1:]]}


def list_transactions(scene: Scene, version: int) -> Iterator[Message]:
    newer = {"duration_filter": 5} if version >= 1 else {}
    states = ("Ongoing", "No such", "", "ongoing", "Dead", "PrepareEpochFence")
    for filters in ((), states):
        yield {"state_filters": list(filters), "producer_id_filters": [7], **newer}
    for pattern in (None, "", "a.*", "(", "a(?=b)") if version >= 2 else ():
        yield {"state_filters": ["No such"], "transactional_id_pattern": pattern}


def describe_transactions(scene: Scene, version: int) -> Iterator[Message]:
    # Apache Kafka makes its topic of transactions when the first coordinator is asked for.
    scene.both.ask("find_coordinator", 3, key="t", key_type=1)
    scene.both.same_soon("describe_transactions", 0, transactional_ids=["t"])
    yield {"transactional_ids": ["t", "", "t"]}


def unregister_broker(scene: Scene, version: int) -> Iterator[Message]:
    for broker_id in (9, -1):
        yield {"broker_id": broker_id}


def sasl_handshake(scene: Scene, version: int) -> Iterator[Message]:
    for mechanism in ("PLAIN", "SCRAM-SHA-256", "no such", ""):
        yield {"mechanism": mechanism}


def sasl_authenticate(scene: Scene, version: int) -> Iterator[Message]:
    for secret in (b"", b"\0user\0password"):
        yield {"auth_bytes": secret}


def update_features(scene: Scene, version: int) -> Iterator[Message]:
    newer = {"upgrade_type": 1} if version else {"allow_downgrade": False}
    for names in ((), ("no.such.feature",), ("", "no.such.feature")):
        updates = [{"feature": name, "max_version_level": 1, **newer} for name in names]
        for only in (False, True) if version else (False,):
            asked = {"validate_only": only} if version else {}
            yield {"timeout_ms": 5000, "feature_updates": updates, **asked}


def describe_delegation_token(scene: Scene, version: int) -> Iterator[Message]:
    for owners in ((), None):
        yield {"owners": owners}


ABSENT: dict[str, Requests] = {
    "describe_client_quotas": describe_client_quotas,
    "alter_client_quotas": alter_client_quotas,
    "describe_user_scram_credentials": describe_user_scram_credentials,
    "alter_user_scram_credentials": alter_user_scram_credentials,
    "list_transactions": list_transactions,
    "describe_transactions": describe_transactions,
    "unregister_broker": unregister_broker,
    "sasl_handshake": sasl_handshake,
    "sasl_authenticate": sasl_authenticate,
    "update_features": update_features,
    "describe_delegation_token": describe_delegation_token,
}
