"""Which of the broker's settings change while it runs, and where a value of one may stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

CHANGEABLE = frozenset(
    (
        *("compression.type", "max.connections", "max.connections.per.ip", "message.max.bytes"),
        *("log.cleanup.policy", "log.retention.bytes", "log.retention.ms", "log.roll.ms"),
        *("log.segment.bytes", "log.segment.delete.delay.ms", "log.index.interval.bytes"),
        *("log.message.timestamp.type", "producer.id.expiration.ms"),
        *(f"log.message.timestamp.{side}.max.ms" for side in ("before", "after")),
        *(f"log.cleaner.{what}" for what in ("backoff.ms", "dedupe.buffer.size")),
        *(f"log.cleaner.{what}" for what in ("delete.retention.ms", "min.cleanable.ratio")),
        *(f"log.cleaner.{side}.compaction.lag.ms" for side in ("min", "max")),
        "log.cleaner.io.max.bytes.per.second",
        # Not Kafka's.
        *("cache.bytes", "log.level", "log.format", "replication.factor.strict"),
        *("allowed.hosts", "cors.origins", "trusted.proxies", "shutdown.grace.ms"),
    )
)
"""Of Apache Kafka's settings those that it changes, too (KIP-226)."""
RELATED = {
    "log.retention.ms": ("log.retention.minutes", "log.retention.hours"),
    "log.roll.ms": ("log.roll.hours",),
}
"""Those that count where a setting is not set, strongest first."""


class Place(NamedTuple):
    """Where a value stands: ``source`` is ``dynamic`` (of this broker, set while it ran),
    ``dynamic_default`` (of all brokers), ``default``, or what a value was given with at start.
    """

    name: str
    value: str
    source: str


class Changed(NamedTuple):
    """What was set while the broker ran: for this broker, and for all where it has none."""

    own: Mapping[str, str]
    for_all: Mapping[str, str]


UNCHANGED = Changed({}, {})
