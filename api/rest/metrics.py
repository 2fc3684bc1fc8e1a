"""``/metrics``: read from the broker when asked, so that no record costs anything.

Names follow Kafka's metrics where there is one of the kind.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tidelog.api.rest.context import RestContext
from tidelog.broker.broker import Broker
from tidelog.consumer_groups.coordinator import Coordinator

CONTENT_TYPE = CONTENT_TYPE_LATEST
_PARTITION = ("topic", "partition")


def render_metrics(context: RestContext) -> bytes:
    """The page as it is now."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Everything(context))
    return generate_latest(registry)


class _Everything(Collector):
    def __init__(self, context: RestContext) -> None:
        self._context = context

    def collect(self) -> Iterator[Metric]:
        broker = self._context.broker
        yield from _logs(broker)
        yield from _topics(broker)
        yield from _cache(broker)
        if not self._context.coordinator.loading:
            yield from _groups(self._context.coordinator)
        uptime = broker.clock.monotonic_ms() - broker.started_ms
        yield GaugeMetricFamily("tidelog_uptime_seconds", "Time since start", uptime / 1000)
        syncs = CounterMetricFamily("kafka_log_flush", "Syncs of logs to stable storage")
        syncs.add_metric((), broker.commit.syncs)
        yield syncs


def _logs(broker: Broker) -> Iterator[Metric]:
    start = GaugeMetricFamily("kafka_log_log_start_offset", "First offset", labels=_PARTITION)
    end = GaugeMetricFamily("kafka_log_log_end_offset", "Next offset", labels=_PARTITION)
    size = GaugeMetricFamily("kafka_log_size_bytes", "Bytes on disk", labels=_PARTITION)
    segments = GaugeMetricFamily("kafka_log_num_log_segments", "Segments", labels=_PARTITION)
    flushed = GaugeMetricFamily("tidelog_log_flushed_offset", "Durable end", labels=_PARTITION)
    stopped = GaugeMetricFamily(
        "tidelog_log_writes_stopped", "1 when the disk failed", labels=_PARTITION
    )
    for topic in broker.topics():
        for partition in topic.partitions:
            labels = (topic.name, str(partition.index))
            start.add_metric(labels, partition.start_offset)
            end.add_metric(labels, partition.end_offset)
            size.add_metric(labels, partition.size_bytes)
            segments.add_metric(labels, len(partition.log.segments))
            flushed.add_metric(labels, partition.flushed_offset)
            stopped.add_metric(labels, int(partition.writes_stopped is not None))
    yield from (start, end, size, segments, flushed, stopped)


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


def _groups(coordinator: Coordinator) -> Iterator[Metric]:
    labels = ("group", "topic", "partition")
    lag = GaugeMetricFamily("kafka_consumergroup_lag", "Records behind", labels=labels)
    seconds = GaugeMetricFamily("kafka_consumergroup_lag_seconds", "Time behind", labels=labels)
    members = GaugeMetricFamily("kafka_consumergroup_members", "Members", labels=("group",))
    for group in coordinator.groups():
        members.add_metric((group.group,), group.members)
        for one in coordinator.lag(group.group):
            place = (group.group, one.topic, str(one.partition))
            if one.lag is not None:
                lag.add_metric(place, one.lag)
            if one.lag_seconds is not None:
                seconds.add_metric(place, one.lag_seconds)
    yield from (lag, seconds, members)
