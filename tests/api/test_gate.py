"""The gate: who may nothing gets nowhere, by whatever API; a new one has to be put in its place.

Each API is called with what would succeed, or at least be looked at, if it were allowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.support.kafka_wire import Message, Wire
from tests.support.running_app import RunningApp
from tidelog.api.caller import Caller, Kind, Operation
from tidelog.api.kafka.api_table import APIS
from tidelog.storage.batches.record_batch import encode_batch

_NOT_AUTHORIZED = {29, 30, 31}
_APIS = {api.name: api for api in APIS.values()}
_OPEN = {
    "api_versions": "is asked before anybody says who they are",
    "sasl_handshake": "is asked before anybody says who they are",
    "describe_cluster": "tells what a client has to know to connect",
    "describe_delegation_token": "is refused to all",
    "describe_transactions": "there is none, whoever asks",
    "list_transactions": "there is none, whoever asks",
}
_HIDDEN = {"list_groups": "groups", "metadata": "topics"}
"""Where everything is asked for, what a caller may not see is left out."""


class _Nothing:
    """Nobody may do anything."""

    def allow(self, caller: Caller, operation: Operation, kind: Kind, name: str) -> bool:
        return False


class _Site:
    def __init__(self, app: RunningApp) -> None:
        self.app = app
        self.wire = Wire(app.kafka)
        self.topic_id: UUID = app.run(app.app.broker.create_topic("t")).id

    def ask(self, api: str, **fields: Any) -> Message:
        return self.wire.ask(api, _APIS[api].max_version, **fields)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Site]:
    with RunningApp(tmp_path_factory.mktemp("gate") / "data", rules=_Nothing()) as app:
        found = _Site(app)
        yield found
        found.wire.close()


_CONFIGS = {"resource_name": "t", "resource_type": 2}
_MEMBER = {"group_id": "g", "member_id": "m", "generation_id": 1}


def _requests(topic_id: UUID) -> dict[str, list[Message]]:
    """By API, at its latest version."""
    first, no_id = {"partition_index": 0}, UUID(int=0)
    subscribed = {"subscribed_topic_names": ["t"], "topic_partitions": None}
    at = [{"topic": "t", "partitions": [0]}]
    setting = {"name": "retention.ms", "value": "1"}
    resources = [
        {**_CONFIGS, "configs": [setting]},
        {"resource_name": "1", "resource_type": 4, "configs": []},
        {"resource_name": "g", "resource_type": 32, "configs": []},
    ]
    described = [
        {"resource_name": name, "resource_type": kind, "configuration_keys": None}
        for name, kind in (("t", 2), ("1", 4), ("g", 32))
    ]
    acl = {"pattern_type_filter": 1, "resource_type_filter": 1, "operation": 1}
    acl = {**acl, "permission_type": 1}
    batch = bytes(encode_batch([(0, b"k", b"v", ())]))
    return {
        "produce": [
            {
                "transactional_id": None,
                "acks": -1,
                "timeout_ms": 1000,
                "topic_data": [
                    {"topic_id": topic_id, "partition_data": [{"index": 0, "records": batch}]}
                ],
            }
        ],
        "fetch": [
            {
                "max_bytes": 1000,
                "topics": [
                    {
                        "topic_id": topic_id,
                        "partitions": [{"partition": 0, "partition_max_bytes": 1000}],
                    }
                ],
            }
        ],
        "list_offsets": [{"topics": [{"name": "t", "partitions": [{**first, "timestamp": -1}]}]}],
        "metadata": [
            {"topics": [{"topic_id": no_id, "name": "t"}]},
            {"topics": [{"topic_id": topic_id, "name": None}]},
            {
                "topics": [{"topic_id": no_id, "name": "new"}],
                "allow_auto_topic_creation": True,
            },
            {"topics": None},
        ],
        "offset_commit": [
            {
                "group_id": "g",
                "topics": [
                    {"topic_id": topic_id, "partitions": [{**first, "committed_offset": 0}]}
                ],
            }
        ],
        "offset_fetch": [{"groups": [{"group_id": "g", "topics": None}]}],
        "find_coordinator": [{"key_type": 0, "coordinator_keys": ["g"]}],
        "join_group": [
            {
                "group_id": "g",
                "session_timeout_ms": 10_000,
                "protocol_type": "consumer",
                "protocols": [{"name": "range", "metadata": b""}],
            }
        ],
        "heartbeat": [_MEMBER],
        "leave_group": [{"group_id": "g", "members": [{"member_id": "m"}]}],
        "sync_group": [{**_MEMBER, "protocol_type": "consumer", "protocol_name": "range"}],
        "describe_groups": [{"groups": ["g"]}],
        "list_groups": [{}],
        "create_topics": [
            {
                "topics": [{"name": "new", "num_partitions": 1, "replication_factor": 1}],
                "timeout_ms": 1000,
            }
        ],
        "delete_topics": [{"topics": [{"name": "t", "topic_id": no_id}], "timeout_ms": 1000}],
        "delete_records": [
            {
                "topics": [{"name": "t", "partitions": [{**first, "offset": 0}]}],
                "timeout_ms": 1000,
            }
        ],
        "init_producer_id": [{"transactional_id": None, "producer_id": -1, "producer_epoch": -1}],
        "offset_for_leader_epoch": [
            {
                "topics": [
                    {"topic": "t", "partitions": [{"partition": 0, "current_leader_epoch": -1}]}
                ]
            }
        ],
        "describe_acls": [acl],
        "create_acls": [
            {"creations": [{"resource_type": 2, "resource_name": "t", "principal": "User:a"}]}
        ],
        "delete_acls": [{"filters": [acl]}],
        "describe_configs": [{"resources": [one]} for one in described],
        "alter_configs": [{"resources": [one]} for one in resources],
        "incremental_alter_configs": [
            {"resources": [{**one, "configs": [{**setting, "config_operation": 0}]}]}
            for one in resources
        ],
        "alter_replica_log_dirs": [
            {"dirs": [{"path": "/", "topics": [{"name": "t", "partitions": [0]}]}]}
        ],
        "describe_log_dirs": [{"topics": None}],
        "create_partitions": [{"topics": [{"name": "t", "count": 9, "assignments": None}]}],
        "delete_groups": [{"groups_names": ["g"]}],
        "elect_leaders": [{"election_type": 0, "topic_partitions": at}],
        "alter_partition_reassignments": [
            {"topics": [{"name": "t", "partitions": [{**first, "replicas": [1]}]}]}
        ],
        "list_partition_reassignments": [{"topics": None}],
        "offset_delete": [{"group_id": "g", "topics": [{"name": "t", "partitions": [first]}]}],
        "describe_client_quotas": [{"components": []}],
        "alter_client_quotas": [
            {"entries": [{"entity": [{"entity_type": "user", "entity_name": "a"}], "ops": []}]}
        ],
        "describe_user_scram_credentials": [{"users": None}],
        "alter_user_scram_credentials": [{"deletions": [{"name": "a", "mechanism": 1}]}],
        "describe_quorum": [
            {"topics": [{"topic_name": "__cluster_metadata", "partitions": [first]}]}
        ],
        "describe_producers": [{"topics": [{"name": "t", "partition_indexes": [0]}]}],
        "unregister_broker": [{"broker_id": 9}],
        "consumer_group_heartbeat": [
            {"group_id": "g", "member_id": "m", "member_epoch": 0, **subscribed}
        ],
        "consumer_group_describe": [{"group_ids": ["g"], "include_authorized_operations": False}],
        "list_config_resources": [{"resource_types": []}],
        "describe_topic_partitions": [{"topics": [{"name": "t"}], "cursor": None}],
    }


def _codes(answer: Any) -> Iterator[int]:
    """Every error code but the zeros of answers that have others further in."""
    if isinstance(answer, list):
        for one in answer:
            yield from _codes(one)
    elif isinstance(answer, dict):
        inner = [code for one in answer.values() for code in _codes(one)]
        own = answer.get("error_code")
        if own is not None and (own or not inner):
            yield own
        yield from inner


def test_every_api_is_named() -> None:
    requests = _requests(UUID(int=0))
    assert not set(requests) & set(_OPEN)
    assert {*requests, *_OPEN} == set(_APIS)


@pytest.mark.parametrize("api", sorted(_requests(UUID(int=0))))
def test_an_api_refuses_who_may_nothing(site: _Site, api: str) -> None:
    for request in _requests(site.topic_id)[api]:
        answer = site.ask(api, **request)
        if api in _HIDDEN and not answer[_HIDDEN[api]]:
            continue
        codes = list(_codes(answer))
        assert codes, answer
        assert set(codes) <= _NOT_AUTHORIZED, (request, answer)


def test_nothing_was_changed(site: _Site, tmp_path: Path) -> None:
    broker = site.app.app.broker
    assert [topic.name for topic in broker.topics()] == ["t"]
    assert broker.topic("t").settings.overrides == {}
    assert broker.topic("t").partition(0).end_offset == 0
