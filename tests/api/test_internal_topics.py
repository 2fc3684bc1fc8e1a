"""No door writes to, deletes from or alters a topic that belongs to the broker; all may read it.

The tables name every route and every API, so that a new one has to be put in its place here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.kafka_wire import Message, Wire, item_codes
from tidelog.api.kafka.api_table import APIS
from tidelog.storage.batches.record_batch import encode_batch

_TOPIC = "__consumer_offsets"
_PATH = f"/v1/topics/{_TOPIC}"
_INVALID_TOPIC, _TOPIC_EXISTS = 17, 36
_APIS = {api.name: api for api in APIS.values()}

_JSON = {"json": {"records": [{"value": "x"}]}}
_STREAM = {"Producer-Id": "7", "Producer-Epoch": "0", "Producer-Sequence": "0"}
_WRITING_ROUTES: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("POST", "/v1/topics/{topic}/records"): [
        _JSON,
        {**_JSON, "params": {"acks": "0"}},
        {**_JSON, "headers": {"Idempotency-Key": "k"}},
        {**_JSON, "headers": _STREAM},
        {**_JSON, "headers": {"If-Match-Offset": "0"}},
        {"content": b"not JSON", "headers": {"Content-Type": "application/json"}},
        {"content": b'{"value":1}\n', "headers": {"Content-Type": "application/x-ndjson"}},
        {"content": b"", "headers": {"Content-Type": "application/x-ndjson"}},
        {"content": b"x", "headers": {"Content-Type": "application/octet-stream"}},
        {"content": b"x", "headers": {"Content-Type": "text/plain"}, "params": {"partition": "0"}},
    ],
    ("PATCH", "/v1/topics/{topic}"): [
        {"json": {"settings": {"retention.ms": 1}}},
        {"json": {"settings": {"cleanup.policy": None}}},
        {"json": {"partitions": 7}},
        {"json": {"partitions": 1}},
        {"json": {"partitions": 7, "validate_only": True}},
    ],
    ("DELETE", "/v1/topics/{topic}"): [{}],
    ("POST", "/v1/topics/{topic}/retention:run"): [{}, {"json": {"dry_run": False}}],
    ("DELETE", "/v1/topics/{topic}/partitions/{partition}/records"): [
        {"params": {"before_offset": offset}} for offset in ("-1", "0", "1")
    ],
}
_ROUTES_THAT_CHANGE_NO_TOPIC = {
    ("POST", "/v1/topics/{topic}/damage:acknowledge"),  # ends a warning
}

_ONE: Message = {"name": _TOPIC, "num_partitions": 1, "replication_factor": 1}


def _batch() -> bytes:
    return bytes(encode_batch([(0, b"k", b"v", ())]))


def _setting(**more: Any) -> Message:
    config = {"name": "retention.ms", "value": "1", **more}
    resource = {"resource_type": 2, "resource_name": _TOPIC, "configs": [config]}
    return {"resources": [resource], "validate_only": False}


def _delete(version: int, topic_id: UUID) -> list[Message]:
    if version < 6:
        return [{"topic_names": [_TOPIC], "timeout_ms": 1000}]
    named = ({"name": _TOPIC}, {"name": None, "topic_id": topic_id})
    return [{"topics": [one], "timeout_ms": 1000} for one in named]


def _produce(version: int, topic_id: UUID) -> list[Message]:
    topic = {"topic_id": topic_id} if version >= 13 else {"name": _TOPIC}
    records = [{"index": 0, "records": _batch()}]
    fields = {"transactional_id": None, "timeout_ms": 1000}
    return [
        {**fields, "acks": acks, "topic_data": [{**topic, "partition_data": records}]}
        for acks in (1, -1)
    ]


_WRITING_APIS: dict[str, Callable[[int, UUID], list[Message]]] = {
    "produce": _produce,
    "delete_records": lambda version, topic_id: [
        {
            "topics": [{"name": _TOPIC, "partitions": [{"partition_index": 0, "offset": offset}]}],
            "timeout_ms": 1000,
        }
        for offset in (-1, 0, 1)
    ],
    "delete_topics": _delete,
    "create_topics": lambda version, topic_id: [{"topics": [_ONE], "timeout_ms": 1000}],
    "create_partitions": lambda version, topic_id: [
        {
            "topics": [{"name": _TOPIC, "count": 7, "assignments": None}],
            "validate_only": validate_only,
            "timeout_ms": 1000,
        }
        for validate_only in (False, True)
    ],
    "alter_configs": lambda version, topic_id: [_setting()],
    "incremental_alter_configs": lambda version, topic_id: [
        _setting(config_operation=operation) for operation in range(4)
    ],
}
_APIS_THAT_CHANGE_NO_TOPIC = {
    *("fetch", "list_offsets", "metadata", "api_versions", "offset_for_leader_epoch"),
    *("describe_acls", "create_acls", "delete_acls", "describe_cluster", "describe_configs"),
    *("describe_log_dirs", "describe_producers", "describe_quorum", "describe_topic_partitions"),
    *("list_config_resources", "list_partition_reassignments", "init_producer_id"),
    # With one broker these have nothing to do.
    *("alter_partition_reassignments", "alter_replica_log_dirs", "elect_leaders"),
    # There is none of what these are about.
    *("describe_client_quotas", "alter_client_quotas", "describe_user_scram_credentials"),
    *("alter_user_scram_credentials", "list_transactions", "describe_transactions"),
    *("unregister_broker", "sasl_handshake", "sasl_authenticate", "update_features"),
    *("describe_delegation_token", "create_delegation_token"),
    *("renew_delegation_token", "expire_delegation_token"),
    # Groups; the broker writes what they commit.
    *("offset_commit", "offset_fetch", "offset_delete", "find_coordinator", "join_group"),
    *("heartbeat", "leave_group", "sync_group", "describe_groups", "list_groups"),
    *("delete_groups", "consumer_group_describe", "consumer_group_heartbeat"),
}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """A broker whose internal topic has a record, and does not change while nobody commits."""
    process = BrokerProcess(tmp_path_factory.mktemp("internal") / "data")
    with process.client() as http:
        http.post("/v1/topics", json={"name": "t", "partitions": 1}).raise_for_status()
        offsets = {"offsets": [{"topic": "t", "partition": 0, "offset": 0}]}
        http.put("/v1/groups/g/offsets", json=offsets).raise_for_status()
    yield process
    process.end()


@pytest.fixture
def http(target: BrokerProcess) -> Iterator[httpx.Client]:
    with target.client() as client:
        yield client


@pytest.fixture(autouse=True)
def unchanged(http: httpx.Client, target: BrokerProcess) -> Iterator[None]:
    """Whatever was answered, topic and bytes are as they were."""

    def state() -> tuple[Any, bytes]:
        (log,) = (target.data_dir / f"{_TOPIC}-0").glob("*.log")
        return http.get(_PATH).json(), log.read_bytes()

    before = state()
    yield
    assert state() == before


def _described(http: httpx.Client) -> set[tuple[str, str]]:
    """Routes that name a topic and do more than read."""
    paths = http.get("/openapi.json").json()["paths"]
    return {
        (method.upper(), path)
        for path, methods in paths.items()
        for method in methods
        if "{topic}" in path and method not in ("get", "head", "options")
    }


def test_the_tables_are_complete(http: httpx.Client) -> None:
    assert {*_WRITING_ROUTES, *_ROUTES_THAT_CHANGE_NO_TOPIC} == _described(http)
    assert {*_WRITING_APIS, *_APIS_THAT_CHANGE_NO_TOPIC} == set(_APIS)


@pytest.mark.parametrize(("method", "path"), _WRITING_ROUTES)
def test_every_writing_route_refuses(http: httpx.Client, method: str, path: str) -> None:
    where = path.replace("{topic}", _TOPIC).replace("{partition}", "0")
    for request in _WRITING_ROUTES[method, path]:
        answer = http.request(method, where, **request)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (403, "internal_topic"), request
        assert error["details"] == {"topic": _TOPIC}


@pytest.mark.parametrize("api", _WRITING_APIS)
def test_every_writing_api_refuses(target: BrokerProcess, http: httpx.Client, api: str) -> None:
    topic_id = UUID(http.get(_PATH).json()["id"])
    expected = _TOPIC_EXISTS if api == "create_topics" else _INVALID_TOPIC
    wire = Wire(target.kafka)
    for version in range(_APIS[api].min_version, _APIS[api].max_version + 1):
        for request in _WRITING_APIS[api](version, topic_id):
            answer = wire.ask(api, version, **request)
            assert set(item_codes(answer)) == {expected}, (version, request, answer)
    wire.close()


def test_nobody_makes_one(start_broker: Callable[..., BrokerProcess]) -> None:
    """The broker does when the first group needs it."""
    broker = start_broker()
    wire = Wire(broker.kafka)
    with broker.client() as http:
        answer = http.post("/v1/topics", json={"name": _TOPIC, "if_not_exists": True})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "internal_topic")
        for version in range(_APIS["create_topics"].min_version, 8):
            made = wire.ask("create_topics", version, topics=[_ONE], timeout_ms=1000)
            assert made["topics"][0]["error_code"] == _INVALID_TOPIC
        assert http.get(_PATH).status_code == 404
    wire.close()


def test_it_can_be_read(target: BrokerProcess, http: httpx.Client) -> None:
    end = http.get(f"{_PATH}/offsets").json()["offsets"][0]["offset"]
    assert end > 0
    records = http.get(f"{_PATH}/partitions/0/records", params={"offset": "0"})
    assert len(records.json()["records"]) == end
    assert http.get(f"{_PATH}/retention").status_code == 200
    assert http.post(f"{_PATH}/retention:run", json={"dry_run": True}).status_code == 200
    wire = Wire(target.kafka)
    asked = {"partition": 0, "fetch_offset": 0, "partition_max_bytes": 2**20}
    fetched = wire.ask(
        "fetch",
        4,
        replica_id=-1,
        max_wait_ms=0,
        min_bytes=0,
        max_bytes=2**20,
        isolation_level=0,
        topics=[{"topic": _TOPIC, "partitions": [asked]}],
    )
    wire.close()
    (partition,) = fetched["responses"][0]["partitions"]
    assert (partition["error_code"], bool(partition["records"])) == (0, True)
