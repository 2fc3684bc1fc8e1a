"""Requests about topics and settings, each of which mixes what is good with what is bad.

What they do to an internal topic and we refuse is not among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.support.both_brokers import TopicId
from tests.support.kafka_wire import Message
from tests.support.mixed_scene import (
    INTERNAL,
    NO_ID,
    PLACES,
    UNKNOWN_ID,
    Requests,
    Scene,
    by_name,
    unused,
)

TOPIC, BROKER, LOGGER, METRICS, GROUP = 2, 4, 8, 16, 32
_GOOD = ("retention.ms", "5000000")


def create_topics(scene: Scene, version: int) -> Iterator[Message]:
    one = {"num_partitions": 1, "replication_factor": 1}
    wrong: list[Message] = [{"num_partitions": 0}, {"replication_factor": 0}]
    for config in (("retention.ms", "x"), ("no.such", "1"), ("retention.ms", None)):
        wrong.append({"configs": [{"name": config[0], "value": config[1]}]})
    wrong.append({"assignments": [{"partition_index": 0, "broker_ids": [1]}]})
    for only in (True, False):
        twice = unused()
        names = (unused(), scene.topic, "a b", "", twice, twice, INTERNAL)
        topics = [{"name": name, **one} for name in names]
        topics += [{"name": unused(), **one, **fields} for fields in wrong]
        yield {"topics": topics, "timeout_ms": 5000, "validate_only": only}


def delete_topics(scene: Scene, version: int) -> Iterator[Message]:
    first, second, third, fourth = (scene.fresh() for _ in range(4))
    names = (first, "no-such", second, "a b", "", second, fourth)
    if version < 6:
        yield {"topic_names": list(names), "timeout_ms": 5000}
        return
    named: list[tuple[str | None, Any]] = [(name, NO_ID) for name in names]
    named += [(None, TopicId(third)), (None, UNKNOWN_ID), (None, NO_ID), (None, TopicId(first))]
    topics = [{"name": name, "topic_id": topic_id} for name, topic_id in named]
    yield {"topics": topics, "timeout_ms": 5000}


def create_partitions(scene: Scene, version: int) -> Iterator[Message]:
    for only in (True, False):
        first, second, third = (scene.fresh(2) for _ in range(3))
        counts = ((first, 3), (second, 2), ("no-such", 3), ("a b", 3), (third, 3), (third, 4))
        topics: list[Message] = [
            {"name": name, "count": count, "assignments": None}
            for name, count in (*counts, ("", 2))
        ]
        wrong = {"name": scene.topic, "count": 3, "assignments": [{"broker_ids": [9]}]}
        yield {"topics": [*topics, wrong], "timeout_ms": 5000, "validate_only": only}


def metadata(scene: Scene, version: int) -> Iterator[Message]:
    names = (scene.topic, "a b", "", INTERNAL, scene.topic)
    quiet = {"allow_auto_topic_creation": False} if version >= 4 else {}
    yield {
        "topics": [{"name": name} for name in (*names, *(("no-such",) if quiet else ()))],
        **quiet,
    }
    # Each broker makes it, and says that it is not there yet.
    yield {"topics": [{"name": name} for name in (*names, unused())]}
    if version >= 12:
        ids = (TopicId(scene.topic), UNKNOWN_ID, TopicId(INTERNAL), TopicId(scene.topic))
        yield {"topics": [{"name": None, "topic_id": one} for one in ids], **quiet}


def describe_topic_partitions(scene: Scene, version: int) -> Iterator[Message]:
    names = ("no-such", scene.topic, "a b", INTERNAL, scene.topic)
    yield {"topics": [{"name": name} for name in names]}


def describe_log_dirs(scene: Scene, version: int) -> Iterator[Message]:
    yield {"topics": by_name(scene, "partitions", list(PLACES), "topic")[:-1]}


def elect_leaders(scene: Scene, version: int) -> Iterator[Message]:
    topics = by_name(scene, "partitions", list(PLACES), "topic")
    yield {"topic_partitions": topics, "timeout_ms": 5000}
    if version >= 1:
        yield {"topic_partitions": topics, "timeout_ms": 5000, "election_type": 1}


def alter_partition_reassignments(scene: Scene, version: int) -> Iterator[Message]:
    for replicas in ([1], [9], [], [1, 1], None):
        places = [{"partition_index": index, "replicas": replicas} for index in PLACES]
        yield {"topics": by_name(scene, "partitions", places), "timeout_ms": 5000}


def list_partition_reassignments(scene: Scene, version: int) -> Iterator[Message]:
    yield {"topics": by_name(scene, "partition_indexes", list(PLACES)), "timeout_ms": 5000}


def alter_replica_log_dirs(scene: Scene, version: int) -> Iterator[Message]:
    topics = by_name(scene, "partitions", list(PLACES))
    yield {"dirs": [{"path": "/no/such", "topics": topics}]}


def describe_configs(scene: Scene, version: int) -> Iterator[Message]:
    keys = ["retention.ms", "no.such", "cleanup.policy", "min.insync.replicas", "segment.ms"]
    named = [
        *((TOPIC, name) for name in (scene.topic, "no-such", "a b", "", scene.compacted)),
        *((BROKER, name) for name in ("9", "x", "")),
        *((LOGGER, name) for name in ("9", "x", "")),
        *((GROUP, name) for name in (scene.group, "")),
        (METRICS, "x"),
    ]
    resources = [
        {"resource_type": kind, "resource_name": name, "configuration_keys": keys}
        for kind, name in named
    ]
    yield {"resources": resources}
    yield {"resources": resources, "include_synonyms": True}


def _resource(kind: int, name: str, *pairs: tuple[str, str | None], **operation: int) -> Message:
    configs = [{"name": key, "value": value, **operation} for key, value in pairs]
    return {"resource_type": kind, "resource_name": name, "configs": configs}


def alter_configs(scene: Scene, version: int, **operation: int) -> Iterator[Message]:
    def resource(kind: int, name: str, *pairs: tuple[str, str | None]) -> Message:
        return _resource(kind, name, *pairs, **operation)

    # Only to lists can be appended, and of groups' settings none is one.
    of_lists = operation.get("config_operation", 0) >= 2
    good = ("cleanup.policy", "compact") if of_lists else _GOOD
    session = "consumer.session.timeout.ms"
    groups = [] if of_lists else [("", (session, "50000")), (unused(), (session, "1"))]
    for only in (True, False):
        resources = [
            resource(TOPIC, scene.fresh(), good),
            resource(TOPIC, scene.fresh(), good, ("retention.bytes", "x")),
            resource(TOPIC, scene.compacted, ("no.such", "1")),
            resource(TOPIC, scene.topic, good, good),
            *(resource(TOPIC, name, good) for name in ("no-such", "a b", "")),
            resource(TOPIC, scene.fresh(), ("retention.ms", None)),
            resource(TOPIC, scene.fresh()),
            *(resource(GROUP, name, config) for name, config in groups),
            resource(99, "x", good),
        ]
        yield {"resources": resources, "validate_only": only}


def incremental_alter_configs(scene: Scene, version: int) -> Iterator[Message]:
    for operation in range(4):
        yield from alter_configs(scene, version, config_operation=operation)
    # Apache Kafka never answers AlterConfigs that has a resource twice.
    topic = scene.fresh()
    twice = [
        _resource(TOPIC, name, _GOOD, config_operation=0) for name in (topic, topic, "no-such")
    ]
    yield {"resources": twice, "validate_only": False}


TOPICS: dict[str, Requests] = {
    "create_topics": create_topics,
    "delete_topics": delete_topics,
    "create_partitions": create_partitions,
    "metadata": metadata,
    "describe_topic_partitions": describe_topic_partitions,
    "describe_log_dirs": describe_log_dirs,
    "elect_leaders": elect_leaders,
    "alter_partition_reassignments": alter_partition_reassignments,
    "list_partition_reassignments": list_partition_reassignments,
    "alter_replica_log_dirs": alter_replica_log_dirs,
    "describe_configs": describe_configs,
    "alter_configs": alter_configs,
    "incremental_alter_configs": incremental_alter_configs,
}
