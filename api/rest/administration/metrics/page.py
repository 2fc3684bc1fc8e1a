"""``/metrics``: read from the broker when asked, so that no record costs anything.

Names are those that dashboards for Kafka read: kafka_exporter's for topics and groups, those of the
JMX exporter for what Kafka's own metrics tell; what only this broker has begins with ``tidelog_``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from tidelog.api.rest.administration.metrics.families import counter, gauge, histograms
from tidelog.api.rest.administration.metrics.groups import group_families, group_states
from tidelog.api.rest.administration.metrics.logs import log_families
from tidelog.api.rest.administration.metrics.machine import machine_families
from tidelog.api.rest.administration.metrics.requests import request_families
from tidelog.api.rest.context import RestContext
from tidelog.broker.broker import Broker

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def render_metrics(context: RestContext) -> bytes:
    """The page as it is now; without groups while they are loading."""
    broker = context.broker
    machine = await asyncio.to_thread(machine_families, broker)
    written = [await _written(machine), await _written(_opening(broker))]
    written.append(await _written(request_families(context.measures)))
    if not broker.recovering:
        written.append(await _written(_running(broker)))
        written.append(await _written(log_families(broker, context.addresses.kafka)))
        written.append(await _written(group_families(await group_states(context.coordinator))))
    return b"".join(written)


async def _written(families: Iterable[str]) -> bytes:
    """One family at a time; others are served in between."""
    lines = []
    for family in families:
        lines.append(family.encode())
        await asyncio.sleep(0)
    return b"".join(lines)


def _opening(broker: Broker) -> Iterator[str]:
    opened, total, read_bytes, total_bytes = broker.opening.progress
    uptime_ms = broker.clock.monotonic_ms() - broker.started_ms
    for name, text, value in (
        ("kafka_log_logmanager_remaininglogstorecover", "Logs to be opened", total - opened),
        ("tidelog_recovery_read_bytes", "Bytes that recovery has checked", read_bytes),
        ("tidelog_recovery_total_bytes", "Bytes that recovery must check", total_bytes),
        ("tidelog_uptime_seconds", "Time since start", uptime_ms / 1000),
    ):
        yield gauge(name, text, value)


def _running(broker: Broker) -> Iterator[str]:
    yield counter("kafka_log_flush_total", "Syncs of logs to stable storage", broker.commit.syncs)
    text = "Time from the beginning of a sync until those who waited were told"
    yield histograms("tidelog_flush_seconds", text, (), [((), broker.commit.times)])
    compactions = broker.compaction.counters
    for name, text, value in (
        ("passes", "Logs that were compacted", compactions.compacted),
        ("failures", "Logs whose compaction failed", compactions.failed),
        ("source_bytes", "Bytes of segments that were replaced", compactions.source_bytes),
        ("kept_bytes", "Bytes of what took their place", compactions.kept_bytes),
    ):
        yield counter(f"tidelog_compaction_{name}_total", text, value)
    yield from _cache(broker)


def _cache(broker: Broker) -> Iterator[str]:
    stats = broker.cache.stats()
    for name, text, value in (
        ("hits", "Reads answered by the cache", stats.hits),
        ("misses", "Reads that went to the log", stats.misses),
        ("evictions", "Entries given up for others", stats.evictions),
        ("page_hits", "Rendered pages reused", stats.page_hits),
        ("page_misses", "Pages rendered", stats.page_misses),
    ):
        yield counter(f"tidelog_cache_{name}_total", text, value)
    yield gauge("tidelog_cache_bytes", "Bytes held", stats.bytes)
    yield gauge("tidelog_cache_budget_bytes", "Most it holds", broker.cache.budget_bytes)
