"""Topics and their logs, by the names of kafka_exporter and of Kafka's own metrics.

There is one broker, and what it has is in sync: what dashboards ask about replicas is answered as
Apache Kafka does for topics with one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from tidelog.api.rest.administration.metrics.families import (
    Samples,
    counters,
    gauge,
    gauges,
)
from tidelog.broker.broker import Broker
from tidelog.broker.partition import Partition

_PARTITION = ("topic", "partition")
Value = Callable[[Partition], float]


class _Line(NamedTuple):
    """A gauge of every partition, or of those that can be read."""

    name: str
    text: str
    value: Value
    also_offline: bool = False


_LINES = (
    _Line("kafka_topic_partition_current_offset", "Next offset", lambda p: p.end_offset),
    _Line("kafka_topic_partition_oldest_offset", "First offset", lambda p: p.start_offset),
    _Line("kafka_log_log_logendoffset", "Next offset", lambda p: p.end_offset),
    _Line("kafka_log_log_logstartoffset", "First offset", lambda p: p.start_offset),
    _Line("kafka_log_log_size", "Bytes on disk", lambda p: p.size_bytes),
    _Line("kafka_log_log_numlogsegments", "Segments", lambda p: p.facts().segments),
    _Line("tidelog_log_flushed_offset", "Durable end", lambda p: p.flushed_offset),
    _Line(
        "tidelog_log_writes_stopped",
        "1 when the disk failed",
        lambda p: p.offline is not None or p.writes_stopped is not None,
        also_offline=True,
    ),
    _Line("kafka_topic_partition_replicas", "Replicas", lambda p: 1, also_offline=True),
    _Line(
        "kafka_topic_partition_in_sync_replica",
        "Replicas in sync",
        lambda p: p.offline is None,
        also_offline=True,
    ),
    _Line(
        "kafka_topic_partition_under_replicated_partition",
        "1 when it cannot be read",
        lambda p: p.offline is not None,
        also_offline=True,
    ),
    _Line(
        "kafka_topic_partition_leader_is_preferred",
        "1 when the preferred broker leads",
        lambda p: p.offline is None,
        also_offline=True,
    ),
    _Line(
        "kafka_cluster_partition_underminisr",
        "1 when too few replicas are in sync",
        lambda p: p.offline is not None,
        also_offline=True,
    ),
    _Line(
        "kafka_cluster_partition_atminisr",
        "1 when just enough replicas are in sync",
        lambda p: p.offline is None,
        also_offline=True,
    ),
)

_TRAFFIC: tuple[tuple[str, str, Value], ...] = (
    ("bytesin", "Bytes appended", lambda p: p.appended_bytes),
    ("messagesin", "Records appended", lambda p: p.appended_records),
    ("bytesout", "Bytes read", lambda p: p.fetched_bytes),
    ("totalproducerequests", "Appends, refused ones too", lambda p: p.appends),
    ("failedproducerequests", "Appends that were refused", lambda p: p.failed_appends),
    ("totalfetchrequests", "Reads", lambda p: p.fetches),
)


def log_families(broker: Broker, kafka: str | None) -> Iterator[str]:
    """``kafka`` is where its clients connect."""
    told = [((str(broker.node_id), kafka or ""), 1)]
    yield gauges("kafka_broker_info", "Brokers and their addresses", ("id", "address"), told)
    for name, text, value, also_offline in _LINES:
        yield gauges(name, text, _PARTITION, _per_partition(broker, value, also_offline))
    for name, text, value in _TRAFFIC:
        family = f"kafka_server_brokertopicmetrics_{name}_total"
        yield counters(family, text, ("topic",), _per_topic(broker, value))
    leaders = _per_partition(broker, lambda p: -1 if p.offline else broker.node_id, True)
    text = "Id of the broker that leads"
    yield gauges("kafka_topic_partition_leader", text, _PARTITION, leaders)
    counts = (((topic.name,), len(topic.partitions)) for topic in broker.topics())
    yield gauges("kafka_topic_partitions", "Partitions", ("topic",), counts)
    yield from _cluster(broker)


def _per_partition(broker: Broker, value: Value, also_offline: bool) -> Samples:
    for topic in broker.topics():
        for partition in topic.partitions:
            if also_offline or partition.offline is None:
                yield (topic.name, str(partition.index)), value(partition)


def _per_topic(broker: Broker, value: Value) -> Samples:
    for topic in broker.topics():
        yield (topic.name,), sum(map(value, topic.partitions))


def _cluster(broker: Broker) -> Iterator[str]:
    topics = broker.topics()
    partitions = [partition for topic in topics for partition in topic.partitions]
    offline = sum(partition.offline is not None for partition in partitions)
    online = len(partitions) - offline
    for name, text, value in (
        ("kafka_brokers", "Brokers", 1),
        ("kafka_controller_kafkacontroller_activecontrollercount", "1 on the controller", 1),
        ("kafka_controller_kafkacontroller_globaltopiccount", "Topics", len(topics)),
        ("kafka_controller_kafkacontroller_globalpartitioncount", "Partitions", len(partitions)),
        (
            "kafka_controller_kafkacontroller_offlinepartitionscount",
            "Partitions that nobody can read",
            offline,
        ),
        ("kafka_server_replicamanager_leadercount", "Partitions that are led here", online),
        ("kafka_server_replicamanager_partitioncount", "Partitions here", len(partitions)),
        (
            "kafka_server_replicamanager_offlinereplicacount",
            "Logs that could not be opened",
            offline,
        ),
        (
            "kafka_server_replicamanager_underreplicatedpartitions",
            "Partitions with replicas that are not in sync",
            offline,
        ),
    ):
        yield gauge(name, text, value)
