"""``/metrics``: read from the broker when asked, so that no record costs anything.

Names follow Kafka's metrics where there is one of the kind, and those of its usual exporters::

    kafka_consumergroup_members{group}
    kafka_consumergroup_lag_sum{group}
    kafka_consumergroup_lag{group, topic, partition}           records behind
    kafka_consumergroup_lag_seconds{group, topic, partition}   how long the next record has waited
    tidelog_consumergroup_partitions_omitted                   see below

Lag per partition is told of at most ``GROUP_PARTITIONS_MAX`` partitions, group after group by
name, so that the page stays bounded whatever clients commit; the sums are always complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tidelog.api.rest.context import RestContext
from tidelog.broker.broker import Broker
from tidelog.consumer_groups.coordinator import Coordinator
from tidelog.consumer_groups.errors import UnknownGroup
from tidelog.consumer_groups.offsets import PartitionLag

CONTENT_TYPE = CONTENT_TYPE_LATEST
GROUP_PARTITIONS_MAX = 10_000
_GROUPS_AT_ONCE = 100
_PARTITION = ("topic", "partition")


class GroupState(NamedTuple):
    """A group and how far it is behind."""

    name: str
    members: int
    lag: list[PartitionLag]


async def render_metrics(context: RestContext) -> bytes:
    """The page as it is now; without groups while they are loading."""
    groups = [] if context.coordinator.loading else await _group_states(context.coordinator)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Everything(context.broker, groups))
    return generate_latest(registry)


async def _group_states(coordinator: Coordinator) -> list[GroupState]:
    states: list[GroupState] = []
    for group in coordinator.groups():
        try:
            lag = await coordinator.lag(group.group)
        except UnknownGroup:
            # It was deleted meanwhile.
            continue
        states.append(GroupState(group.group, group.members, lag))
        if len(states) % _GROUPS_AT_ONCE == 0:
            await asyncio.sleep(0)
    return states


class _Everything(Collector):
    def __init__(self, broker: Broker, groups: list[GroupState]) -> None:
        self._broker = broker
        self._groups = groups

    def collect(self) -> Iterator[Metric]:
        broker = self._broker
        yield from _recovery(broker)
        if broker.recovering:
            return
        yield from _logs(broker)
        yield from _topics(broker)
        yield from _cache(broker)
        yield from _compaction(broker)
        yield from _groups(self._groups)
        uptime = broker.clock.monotonic_ms() - broker.started_ms
        yield GaugeMetricFamily("tidelog_uptime_seconds", "Time since start", uptime / 1000)
        syncs = CounterMetricFamily("kafka_log_flush", "Syncs of logs to stable storage")
        syncs.add_metric((), broker.commit.syncs)
        yield syncs


def _recovery(broker: Broker) -> Iterator[Metric]:
    opened, total, read_bytes, total_bytes = broker.opening.progress
    for name, text, value in (
        ("kafka_log_logmanager_remaininglogstorecover", "Logs to be opened", total - opened),
        ("tidelog_recovery_read_bytes", "Bytes that recovery has checked", read_bytes),
        ("tidelog_recovery_total_bytes", "Bytes that recovery must check", total_bytes),
    ):
        yield GaugeMetricFamily(name, text, value)


def _logs(broker: Broker) -> Iterator[Metric]:
    start = GaugeMetricFamily("kafka_log_log_start_offset", "First offset", labels=_PARTITION)
    end = GaugeMetricFamily("kafka_log_log_end_offset", "Next offset", labels=_PARTITION)
    size = GaugeMetricFamily("kafka_log_size_bytes", "Bytes on disk", labels=_PARTITION)
    segments = GaugeMetricFamily("kafka_log_num_log_segments", "Segments", labels=_PARTITION)
    flushed = GaugeMetricFamily("tidelog_log_flushed_offset", "Durable end", labels=_PARTITION)
    stopped = GaugeMetricFamily(
        "tidelog_log_writes_stopped", "1 when the disk failed", labels=_PARTITION
    )
    offline = GaugeMetricFamily(
        "kafka_server_replicamanager_offlinereplicacount", "Logs that could not be opened"
    )
    offline_count = 0
    for topic in broker.topics():
        for partition in topic.partitions:
            labels = (topic.name, str(partition.index))
            if partition.offline is not None:
                offline_count += 1
                stopped.add_metric(labels, 1)
                continue
            start.add_metric(labels, partition.start_offset)
            end.add_metric(labels, partition.end_offset)
            size.add_metric(labels, partition.size_bytes)
            segments.add_metric(labels, len(partition.log.segments))
            flushed.add_metric(labels, partition.flushed_offset)
            stopped.add_metric(labels, int(partition.writes_stopped is not None))
    offline.add_metric((), offline_count)
    yield from (start, end, size, segments, flushed, stopped, offline)


def _topics(broker: Broker) -> Iterator[Metric]:
    bytes_in = CounterMetricFamily(
        "kafka_server_brokertopicmetrics_bytesin", "Bytes appended", labels=("topic",)
    )
    messages_in = CounterMetricFamily(
        "kafka_server_brokertopicmetrics_messagesin", "Records appended", labels=("topic",)
    )
    bytes_out = CounterMetricFamily(
        "kafka_server_brokertopicmetrics_bytesout", "Bytes read", labels=("topic",)
    )
    for topic in broker.topics():
        label = (topic.name,)
        bytes_in.add_metric(label, sum(p.appended_bytes for p in topic.partitions))
        messages_in.add_metric(label, sum(p.appended_records for p in topic.partitions))
        bytes_out.add_metric(label, sum(p.fetched_bytes for p in topic.partitions))
    yield from (bytes_in, messages_in, bytes_out)


def _compaction(broker: Broker) -> Iterator[Metric]:
    counters = broker.compaction.counters
    for name, text, value in (
        ("passes", "Logs that were compacted", counters.compacted),
        ("failures", "Logs whose compaction failed", counters.failed),
        ("source_bytes", "Bytes of segments that were replaced", counters.source_bytes),
        ("kept_bytes", "Bytes of what took their place", counters.kept_bytes),
    ):
        metric = CounterMetricFamily(f"tidelog_compaction_{name}", text)
        metric.add_metric((), value)
        yield metric


def _cache(broker: Broker) -> Iterator[Metric]:
    stats = broker.cache.stats()
    counts = (
        ("hits", "Reads answered by the cache", stats.hits),
        ("misses", "Reads that went to the log", stats.misses),
        ("evictions", "Entries given up for others", stats.evictions),
        ("page_hits", "Rendered pages reused", stats.page_hits),
        ("page_misses", "Pages rendered", stats.page_misses),
    )
    for name, text, value in counts:
        counter = CounterMetricFamily(f"tidelog_cache_{name}", text)
        counter.add_metric((), value)
        yield counter
    yield GaugeMetricFamily("tidelog_cache_bytes", "Bytes held", stats.bytes)
    yield GaugeMetricFamily(
        "tidelog_cache_budget_bytes", "Most it holds", broker.cache.budget_bytes
    )


def _groups(groups: list[GroupState]) -> Iterator[Metric]:
    labels = ("group", "topic", "partition")
    members = GaugeMetricFamily("kafka_consumergroup_members", "Members", labels=("group",))
    total = GaugeMetricFamily(
        "kafka_consumergroup_lag_sum", "Records behind in all partitions", labels=("group",)
    )
    lag = GaugeMetricFamily("kafka_consumergroup_lag", "Records behind", labels=labels)
    seconds = GaugeMetricFamily(
        "kafka_consumergroup_lag_seconds",
        "How long the next record to consume has been there",
        labels=labels,
    )
    left = GROUP_PARTITIONS_MAX
    omitted = 0
    for group in groups:
        members.add_metric((group.name,), group.members)
        total.add_metric((group.name,), sum(one.lag or 0 for one in group.lag))
        shown = group.lag[:left]
        left -= len(shown)
        omitted += len(group.lag) - len(shown)
        for one in shown:
            place = (group.name, one.topic, str(one.partition))
            if one.lag is not None:
                lag.add_metric(place, one.lag)
            if one.lag_seconds is not None:
                seconds.add_metric(place, one.lag_seconds)
    yield from (members, total, lag, seconds)
    yield GaugeMetricFamily(
        "tidelog_consumergroup_partitions_omitted", "Partitions whose lag is not shown", omitted
    )
