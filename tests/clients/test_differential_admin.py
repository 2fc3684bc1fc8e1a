"""Topics and the cluster: Apache Kafka and we answer the same requests the same way.

Where we differ it is for a reason, and the tests at the end say which.
"""

from __future__ import annotations

import itertools
import socket
import struct
import uuid
from typing import Any

import pytest

from tests.support.apache_kafka import ApacheKafkaBroker
from tests.support.both_brokers import CLOSED, BothBrokers, TopicId
from tests.support.broker_process import BrokerProcess
from tests.support.kafka_wire import Message
from tidelog.api.kafka.api_table import APIS

pytestmark = pytest.mark.xdist_group("apache_kafka_broker")

_APIS = {api.name: api for api in APIS.values()}
_UNKNOWN_ID, _NO_ID = uuid.UUID(int=77), uuid.UUID(int=0)
_numbers = itertools.count()


def versions(api: str) -> Any:
    served = range(_APIS[api].min_version, _APIS[api].max_version + 1)
    return pytest.mark.parametrize("version", served)


def unused_name() -> str:
    return f"admin.{next(_numbers)}"


def named(*names: str) -> list[Message]:
    return [{"name": name} for name in names]


@versions("create_topics")
def test_create_topics(both: BothBrokers, version: int) -> None:
    def create(name: str | None = None, validate_only: bool = True, **options: Any) -> None:
        topic = {"name": unused_name() if name is None else name, **_ONE, **options}
        fields = {"topics": [topic], "timeout_ms": 30_000, "validate_only": validate_only}
        answers = both.ask("create_topics", version, **fields)
        for answer in answers:
            for one in answer["topics"]:
                one.pop("configs", None)  # compared by the test of DescribeConfigs
        assert answers[0] == answers[1], topic

    present = unused_name()
    for validate_only in (True, False, False, True):
        create(present, validate_only=validate_only)
    for name in ("", ".", "..", "a b", "a/b", "é", "x" * 249, "x" * 250, present.replace(".", "_")):
        create(name)
    for partitions in (0, -2, -1, 3):
        create(num_partitions=partitions)
    for factor in (0, -2, -1):
        create(replication_factor=factor)
    for name, value in _CONFIGS:
        create(configs=[{"name": name, "value": value}])
    create(configs=[{"name": name, "value": "10"} for name in ("retention.ms", "retention.ms")])
    lags = {"min.compaction.lag.ms": "100", "max.compaction.lag.ms": "10"}
    create(configs=[{"name": name, "value": value} for name, value in lags.items()])
    for assigned in ([[1], [1]], [[9]], [[1, 1]], [[]]):
        places = [{"partition_index": at, "broker_ids": ids} for at, ids in enumerate(assigned)]
        create(num_partitions=-1, replication_factor=-1, assignments=places)
        create(num_partitions=2, assignments=places)
    gap = [{"partition_index": index, "broker_ids": [1]} for index in (0, 2)]
    create(num_partitions=-1, replication_factor=-1, assignments=gap)
    twice = {"name": unused_name(), **_ONE}
    both.same("create_topics", version, topics=[twice, twice], timeout_ms=30_000)
    both.same("create_topics", version, topics=[], timeout_ms=30_000)


_ONE = {"num_partitions": 1, "replication_factor": 1}
_CONFIGS = [
    *(("no.such.setting", "1"), ("message.format.version", "3.0")),
    *(("retention.ms", value) for value in ("x", "", " 5 ", "-2", None)),
    *(("cleanup.policy", value) for value in ("other", "", "compact,delete", "delete,delete")),
    *(("segment.bytes", value) for value in ("1", "2147483648")),
    *(("min.insync.replicas", value) for value in ("0", "2")),
    *(("compression.type", "zip"), ("message.timestamp.type", "other"), ("preallocate", "maybe")),
    *(("max.message.bytes", "-1"), ("min.cleanable.dirty.ratio", "2"), ("segment.ms", "0")),
    *(("min.compaction.lag.ms", "9" * 20), ("flush.ms", "-1"), ("index.interval.bytes", "-1")),
    *(("remote.storage.enable", "true"), ("local.retention.ms", "-3")),
]


@versions("create_partitions")
def test_create_partitions(both: BothBrokers, version: int) -> None:
    topic = both.create_topic(unused_name(), 2)

    def raise_to(count: int, name: str = topic, assigned: Any = None, **options: Any) -> None:
        places = None if assigned is None else [{"broker_ids": ids} for ids in assigned]
        topics = [{"name": name, "count": count, "assignments": places}]
        both.same("create_partitions", version, topics=topics, timeout_ms=30_000, **options)

    for count in (0, -1, 1, 2):
        raise_to(count)
    raise_to(3, "no-such-topic")
    raise_to(30, validate_only=True)
    raise_to(3)
    for assigned in ([[1], [1]], [[9]], [], [[1]]):
        raise_to(4, assigned=assigned)
    same = {"name": topic, "count": 9, "assignments": None}
    both.same("create_partitions", version, topics=[same, same], timeout_ms=30_000)


@versions("delete_topics")
def test_delete_topics(both: BothBrokers, version: int) -> None:
    def delete(*names: str | None, ids: Any = ()) -> None:
        if version < 6:
            both.same("delete_topics", version, topic_names=list(names), timeout_ms=30_000)
            return
        topics = [{"name": name, "topic_id": _NO_ID} for name in names]
        topics += [{"name": name, "topic_id": topic_id} for name, topic_id in ids]
        both.same("delete_topics", version, topics=topics, timeout_ms=30_000)

    topic, other = (both.create_topic(unused_name()) for _ in range(2))
    delete("no-such-topic", "a b", "")
    delete(topic, topic)
    delete(topic)
    delete(topic)
    if version >= 6:
        delete(ids=[(other, TopicId(other))])
        delete(ids=[(None, _UNKNOWN_ID)])
        delete(ids=[(None, _NO_ID)])
        delete(ids=[(None, TopicId(other))])


@versions("metadata")
def test_metadata(both: BothBrokers, version: int) -> None:
    topic = both.create_topic(unused_name(), 2)
    quiet = {"allow_auto_topic_creation": False} if version >= 4 else {}

    def look(topics: Any, **options: Any) -> None:
        both.same("metadata", version, topics=topics, **quiet, **options)

    look(named(topic))
    look(named(topic, topic))
    look(named("a b", ""))
    if version >= 1:
        look([])
    if version >= 4:
        look(named("no-such-topic"))
    if version >= 8:
        look(named(topic), include_topic_authorized_operations=True)
    if 8 <= version <= 10:
        look([], include_cluster_authorized_operations=True)
    if version >= 12:
        look([{"name": None, "topic_id": TopicId(topic)}])
        look([{"name": None, "topic_id": _UNKNOWN_ID}])
        # The Java client sends an empty name with an id.
        look([{"name": name, "topic_id": TopicId(topic)} for name in ("", "no-such-topic")])
        look([{"name": "", "topic_id": _UNKNOWN_ID}, {"name": "", "topic_id": TopicId(topic)}])
        look([{"name": topic, "topic_id": _NO_ID}, {"name": None, "topic_id": _UNKNOWN_ID}])
    elif version >= 10:
        look([{"name": topic, "topic_id": TopicId(topic)}, {"name": "a", "topic_id": _NO_ID}])
        look([{"name": None, "topic_id": _NO_ID}])


def test_describe_topic_partitions(both: BothBrokers) -> None:
    first, second = (both.create_topic(unused_name(), 5) for _ in range(2))
    cursors: list[tuple[str, int]] = [(first, 3), (second, 3), ("zz", 3), (first, 9), (first, -1)]
    requests: list[Message] = [
        {"topics": named(first, "no-such-topic")},
        {"topics": named("a b")},
        {"topics": named(first, first)},
        *(
            {"topics": named(first, second), "response_partition_limit": limit}
            for limit in (7, 5, 3, 0, -1)
        ),
        *(
            {"topics": named(first, second), "cursor": {"topic_name": name, "partition_index": at}}
            for name, at in cursors
        ),
    ]
    for request in requests:
        both.same("describe_topic_partitions", 0, **request)


@versions("describe_log_dirs")
def test_describe_log_dirs(both: BothBrokers, version: int) -> None:
    topic = both.create_topic(unused_name(), 2)
    for name, partitions in ((topic, [0, 1]), (topic, [9]), ("no-such-topic", [0])):
        answers = both.ask(
            "describe_log_dirs", version, topics=[{"topic": name, "partitions": partitions}]
        )
        for answer in answers:
            for result in answer["results"]:
                for differs in ("log_dir", "total_bytes", "usable_bytes"):
                    result.pop(differs, None)
        assert answers[0] == answers[1]


@versions("describe_cluster")
def test_describe_cluster(both: BothBrokers, version: int) -> None:
    for asks in (False, True):
        both.same("describe_cluster", version, include_cluster_authorized_operations=asks)
    if version >= 1:
        for kind in (0, 1, 2, 9):
            both.same("describe_cluster", version, endpoint_type=kind)


@versions("find_coordinator")
def test_find_coordinator(both: BothBrokers, version: int) -> None:
    keys = (["g"], [""]) if version < 4 else (["g"], [""], ["a", "b"], [], ["a", "a"])
    for asked in keys:
        fields: Message = {"coordinator_keys": asked} if version >= 4 else {"key": asked[0]}
        both.same("find_coordinator", version, **fields)
    if version >= 1:
        unknown: Message = {"coordinator_keys": ["g"]} if version >= 4 else {"key": "g"}
        both.same("find_coordinator", version, key_type=9, **unknown)


def test_versions_we_serve_are_among_theirs(both: BothBrokers) -> None:
    """But for features, whose levels are each broker's own."""
    for version in range(5):
        client = {"client_software_name": "wire", "client_software_version": "1"}
        ours, theirs = (
            {api["api_key"]: (api["min_version"], api["max_version"]) for api in answer["api_keys"]}
            for answer in both.ask("api_versions", version, **client)
        )
        assert ours.items() <= theirs.items()
    for name, number in (("", ""), ("a b", "1"), ("-x", "1"), ("x_", "1"), ("x" * 300, "1")):
        client = {"client_software_name": name, "client_software_version": number}
        ours, theirs = both.ask("api_versions", 3, **client)
        assert ours["error_code"] == theirs["error_code"]


def test_unknown_apis_and_versions(
    both: BothBrokers, broker: BrokerProcess, apache_kafka_broker: ApacheKafkaBroker
) -> None:
    """Also bodies that are none: the connection is closed."""
    requests = [(999, 0), (-1, 0), (3, 99), (3, -1), (0, 2), (1, 3), (5, 0)]
    bodies = [(3, 1, bytes(3)), (3, 1, b"\x7f\xff\xff\xff"), (18, 3, b""), (3, 9, b"\xff" * 5)]
    for key, version, body in [*((*request, b"") for request in requests), *bodies]:
        frame = struct.pack(">hhih", key, version, 1, 0) + body
        for address in (broker.kafka, apache_kafka_broker.address):
            host, port = address.split(":")
            with socket.create_connection((host, int(port)), timeout=30) as connection:
                connection.sendall(struct.pack(">i", len(frame)) + frame)
                assert connection.recv(1) == b"", (key, version, body, address)
    assert CLOSED not in both.ask("metadata", 1, topics=[])


def test_where_replication_differs(both: BothBrokers) -> None:
    """Applications hard-code 3: accepted, and one replica is shown, unless told to be strict."""
    topic = {"name": unused_name(), "num_partitions": 1, "replication_factor": 3}
    ours, theirs = both.ask("create_topics", 7, topics=[topic], timeout_ms=30_000)
    assert (ours["topics"][0]["error_code"], theirs["topics"][0]["error_code"]) == (0, 38)
    assert ours["topics"][0]["replication_factor"] == 1
