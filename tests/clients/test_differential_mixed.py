"""Requests that mix what is good with what is bad: Apache Kafka and we answer each item alike.

Every API whose answer has a part for each item of the request is here, in its oldest version, the
first with compact lengths and the newest. Where we differ it is for a reason, which the table at
the end gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.support.both_brokers import BothBrokers
from tests.support.kafka_wire import Message, item_codes
from tests.support.mixed_absent import ABSENT
from tests.support.mixed_groups import GROUPS
from tests.support.mixed_records import RECORDS
from tests.support.mixed_scene import INTERNAL, Scene, batch, prepare
from tests.support.mixed_topics import BROKER, TOPIC, TOPICS
from tidelog.api.kafka.api_table import APIS

pytestmark = pytest.mark.xdist_group("apache_kafka_broker")

_APIS = {api.name: api for api in APIS.values()}
_MIXED = {**RECORDS, **GROUPS, **TOPICS, **ABSENT}
_NOT_MIXED = {
    # One thing is asked about, or nothing.
    *("api_versions", "init_producer_id", "describe_cluster", "describe_quorum", "list_groups"),
    *("list_config_resources", "join_group", "sync_group", "heartbeat", "consumer_group_heartbeat"),
    # All is refused: there is no access control.
    *("describe_acls", "create_acls", "delete_acls"),
    *("create_delegation_token", "renew_delegation_token", "expire_delegation_token"),
}
_OWN_SETTINGS = {"retention.wait.for.groups", "retention.max.ms", "retention.max.bytes"}
_OWN_FIELDS = {"log_dir", "total_bytes", "usable_bytes", "read_only"}


def _versions(name: str) -> Iterator[int]:
    api = _APIS[name]
    flexible = min(max(api.flexible_from, api.min_version), api.max_version)
    yield from sorted({api.min_version, flexible, api.max_version})


@pytest.fixture(scope="module")
def scene(both: BothBrokers) -> Scene:
    return prepare(both)


def test_every_api_is_here() -> None:
    assert set(_MIXED) | _NOT_MIXED == set(_APIS)


@pytest.mark.parametrize(
    ("api", "version"), [(api, version) for api in _MIXED for version in _versions(api)]
)
def test_each_item_is_answered_alike(scene: Scene, api: str, version: int) -> None:
    for request in _MIXED[api](scene, version):
        ours, theirs = map(_shared, scene.both.ask(api, version, **request))
        if api == "fetch":
            ours, theirs = map(_by_partition, (ours, theirs))
        assert ours == theirs, request


def _shared(value: Any) -> Any:
    """Without what belongs to one broker alone."""
    if isinstance(value, dict):
        return {key: _shared(one) for key, one in value.items() if key not in _OWN_FIELDS}
    if isinstance(value, list):
        return [_shared(one) for one in value if _name_of(one) not in _OWN_SETTINGS]
    return value


def _name_of(value: Any) -> Any:
    return value.get("name") if isinstance(value, dict) else None


def _by_partition(answer: Message) -> Message:
    """Of Fetch: they tell the partitions with errors apart from the others of the topic."""
    if "responses" not in answer:
        return answer
    parts = [
        {**topic, "partitions": one} for topic in answer["responses"] for one in topic["partitions"]
    ]
    return {**answer, "responses": sorted(parts, key=repr)}


class Different(NamedTuple):
    """A request that is answered differently, with the error codes of its items in order."""

    why: str
    api: str
    version: int
    request: Message
    ours: list[int]
    theirs: list[int]


def _resource(kind: int, name: str, operation: int = 0) -> Message:
    config = {"name": "retention.ms", "value": "1", "config_operation": operation}
    return {"resource_type": kind, "resource_name": name, "configs": [config]}


def _described(*named: tuple[int, str]) -> list[Message]:
    return [{"resource_type": kind, "resource_name": name} for kind, name in named]


_OURS_ALONE = "what belongs to the broker is changed by nobody else, there by whoever may"
_GATE_FIRST = "whether the topic may be changed is asked before all else, there last"
_WHOLE_REQUEST = "their whole request fails over one item that cannot be understood"
_DIFFERENT = [
    Different(
        *(_OURS_ALONE, "incremental_alter_configs", 1),
        {"resources": [_resource(TOPIC, INTERNAL)], "validate_only": True},
        *([17], [0]),
    ),
    Different(
        *(_OURS_ALONE, "alter_configs", 2),
        {
            "resources": [
                {
                    "resource_type": TOPIC,
                    "resource_name": INTERNAL,
                    "configs": [{"name": "retention.ms", "value": "1"}],
                }
            ],
            "validate_only": True,
        },
        *([17], [0]),
    ),
    Different(
        *(_OURS_ALONE, "create_partitions", 3),
        {
            "topics": [{"name": INTERNAL, "count": 3, "assignments": None}],
            "timeout_ms": 5000,
            "validate_only": True,
        },
        *([17], [0]),
    ),
    Different(
        *(_GATE_FIRST, "delete_records", 2),
        {
            "topics": [{"name": INTERNAL, "partitions": [{"partition_index": 9, "offset": 0}]}],
            "timeout_ms": 5000,
        },
        *([17], [3]),
    ),
    Different(
        *(_GATE_FIRST, "produce", 9),
        {
            "acks": 3,
            "timeout_ms": 5000,
            "topic_data": [
                {
                    "name": INTERNAL,
                    "partition_data": [
                        {"index": 0, "records": batch()},
                        {"index": 9, "records": batch()},
                    ],
                }
            ],
        },
        *([17, 17], [21, 3]),
    ),
    Different(
        *(_WHOLE_REQUEST, "describe_configs", 4),
        {"resources": _described((TOPIC, "no-such"), (99, "x"), (BROKER, ""))},
        *([0, 3, 42], [42, 42, 42]),
    ),
    Different(
        *(_WHOLE_REQUEST, "incremental_alter_configs", 1),
        {"resources": [_resource(TOPIC, "a b", 9), _resource(TOPIC, "no-such")]},
        *([17, 3], [-1, -1]),
    ),
    Different(
        *(_WHOLE_REQUEST, "describe_topic_partitions", 0),
        {"topics": [{"name": "no-such"}, {"name": ""}]},
        *([17, 3], [-1, -1]),
    ),
]


@pytest.mark.parametrize("case", _DIFFERENT, ids=lambda case: f"{case.api}: {case.why}")
def test_where_we_differ(scene: Scene, case: Different) -> None:
    answers = scene.both.ask(case.api, case.version, **case.request)
    assert [list(item_codes(answer)) for answer in answers] == [case.ours, case.theirs]
