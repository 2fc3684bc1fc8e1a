"""The gate: who may nothing gets nowhere, by whatever API or route; a new one has to be put here.

Each is called with what would succeed, or at least be looked at, if it were allowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
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
    "sasl_authenticate": "is asked before anybody says who they are",
    "create_delegation_token": "is refused to all",
    "renew_delegation_token": "is refused to all",
    "expire_delegation_token": "is refused to all",
    "describe_delegation_token": "is refused to all",
    "describe_transactions": "there is none, whoever asks",
    "list_transactions": "there is none, whoever asks",
}
_OPEN_ROUTES = {
    ("GET", "/"): "says where things are",
    ("GET", "/health/live"): "is asked by who watches the process",
    ("GET", "/health/ready"): "is asked by who watches the process",
}
_ROUTES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/v1/topics"): {"json": {"name": "new"}},
    ("GET", "/v1/topics/{topic}"): {},
    ("PATCH", "/v1/topics/{topic}"): {"json": {"settings": {"retention.ms": 1}, "partitions": 9}},
    ("DELETE", "/v1/topics/{topic}"): {},
    ("GET", "/v1/topics/{topic}/offsets"): {},
    ("POST", "/v1/topics/{topic}/damage:acknowledge"): {},
    ("GET", "/v1/topics/{topic}/segments"): {},
    ("GET", "/v1/topics/{topic}/retention"): {},
    ("POST", "/v1/topics/{topic}/retention:run"): {},
    ("DELETE", "/v1/topics/{topic}/partitions/{partition}/records"): {
        "params": {"before_offset": "-1"}
    },
    ("POST", "/v1/topics/{topic}/records"): {"json": {"records": [{"value": 1}]}},
    ("GET", "/v1/topics/{topic}/records"): {},
    ("GET", "/v1/topics/{topic}/partitions/{partition}/records"): {},
    ("GET", "/v1/topics/{topic}/{topic_id}/partitions/{partition}/pages/{page}"): {},
    ("GET", "/v1/groups/{group}"): {},
    ("DELETE", "/v1/groups/{group}"): {},
    ("GET", "/v1/groups/{group}/offsets"): {},
    ("PUT", "/v1/groups/{group}/offsets"): {
        "json": {"offsets": [{"topic": "t", "partition": 0, "offset": 0}]}
    },
    ("DELETE", "/v1/groups/{group}/offsets"): {"params": {"topic": "t"}},
    ("POST", "/v1/groups/{group}/offsets:reset"): {"json": {"to": "earliest", "topics": ["t"]}},
    ("POST", "/v1/groups/{group}/members"): {"json": {"topics": ["t"]}},
    ("POST", "/v1/groups/{group}/members/{member}/poll"): {"json": {"cursor": "c"}},
    ("POST", "/v1/groups/{group}/members/{member}/commit"): {"json": {"cursor": "c"}},
    ("DELETE", "/v1/groups/{group}/members/{member}"): {},
    ("GET", "/v1/cache"): {},
    ("PATCH", "/v1/cache"): {"json": {"ttl_ms": 1}},
    ("POST", "/v1/cache:warm"): {
        "json": {"topic": "t", "partition": 0, "from_offset": 0, "to_offset": 0}
    },
    ("DELETE", "/v1/cache"): {"params": {"tag": "topic:t"}},
    ("GET", "/v1/broker"): {},
    ("GET", "/v1/broker/settings"): {},
    ("PATCH", "/v1/broker/settings"): {"json": {"settings": {"log.retention.ms": 1}}},
    ("POST", "/v1/producers"): {},
    ("GET", "/metrics"): {},
}
_LISTS = {("GET", "/v1/topics"): "topics", ("GET", "/v1/groups"): "groups"}
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
        "update_features": [{"timeout_ms": 1000, "feature_updates": []}],
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


def test_every_route_is_named(site: _Site) -> None:
    paths = httpx.get(f"{site.app.url}/openapi.json").json()["paths"]
    described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert {*_OPEN_ROUTES, *_ROUTES, *_LISTS} == described


@pytest.mark.parametrize(("method", "path"), _ROUTES)
def test_a_route_refuses_who_may_nothing(site: _Site, method: str, path: str) -> None:
    names = {"topic": "t", "partition": 0, "topic_id": site.topic_id, "page": 0}
    where = path.format(**names, group="g", member="m")
    answer = httpx.request(method, site.app.url + where, **_ROUTES[method, path])
    assert answer.status_code == 403
    assert answer.json()["error"]["code"].endswith("_not_authorized")


@pytest.mark.parametrize(("method", "path"), _LISTS)
def test_a_list_leaves_out_what_the_caller_may_not_see(site: _Site, method: str, path: str) -> None:
    answer = httpx.request(method, site.app.url + path)
    assert answer.status_code == 200
    assert answer.json()[_LISTS[method, path]] == []


def test_nothing_was_changed(site: _Site, tmp_path: Path) -> None:
    broker = site.app.app.broker
    assert [topic.name for topic in broker.topics()] == ["t"]
    assert broker.topic("t").settings.overrides == {}
    assert broker.topic("t").partition(0).end_offset == 0
