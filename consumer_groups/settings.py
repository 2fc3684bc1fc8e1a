"""The broker's settings that groups obey, under Kafka's names, gathered once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from tidelog.consumer_groups.errors import InvalidSessionTimeout


class Settings(Protocol):
    """Where values come from, by Kafka's name."""

    def __getitem__(self, name: str) -> Any: ...


@dataclass(frozen=True, slots=True)
class GroupSettings:
    min_session_timeout_ms: int = 6_000
    max_session_timeout_ms: int = 1_800_000
    initial_rebalance_delay_ms: int = 0
    max_size: int = 2**31 - 1
    consumer_session_timeout_ms: int = 45_000
    consumer_heartbeat_interval_ms: int = 5_000
    consumer_max_size: int = 2**31 - 1
    migration_policy: str = "bidirectional"
    offset_metadata_max_bytes: int = 4_096
    offsets_retention_ms: int = 7 * 24 * 3_600_000
    offsets_retention_check_interval_ms: int = 600_000
    offsets_partitions: int = 1
    offsets_segment_bytes: int = 100 * 1024 * 1024

    @property
    def may_upgrade(self) -> bool:
        """Whether a classic group may become one of the new protocol while its members live."""
        return self.migration_policy in ("bidirectional", "upgrade")

    @property
    def may_downgrade(self) -> bool:
        return self.migration_policy in ("bidirectional", "downgrade")

    @property
    def may_mix(self) -> bool:
        """Whether classic members may join a group of the new protocol."""
        return self.migration_policy != "disabled"

    def check_session_timeout(self, session_timeout_ms: int) -> None:
        """Raises InvalidSessionTimeout."""
        low, high = self.min_session_timeout_ms, self.max_session_timeout_ms
        if not low <= session_timeout_ms <= high:
            raise InvalidSessionTimeout(session_timeout_ms, low, high)

    @classmethod
    def of(cls, settings: Settings) -> GroupSettings:
        return cls(
            min_session_timeout_ms=settings["group.min.session.timeout.ms"],
            max_session_timeout_ms=settings["group.max.session.timeout.ms"],
            initial_rebalance_delay_ms=settings["group.initial.rebalance.delay.ms"],
            max_size=settings["group.max.size"],
            consumer_session_timeout_ms=settings["group.consumer.session.timeout.ms"],
            consumer_heartbeat_interval_ms=settings["group.consumer.heartbeat.interval.ms"],
            consumer_max_size=settings["group.consumer.max.size"],
            migration_policy=settings["group.consumer.migration.policy"],
            offset_metadata_max_bytes=settings["offset.metadata.max.bytes"],
            offsets_retention_ms=settings["offsets.retention.minutes"] * 60_000,
            offsets_retention_check_interval_ms=settings["offsets.retention.check.interval.ms"],
            offsets_partitions=settings["offsets.topic.num.partitions"],
            offsets_segment_bytes=settings["offsets.topic.segment.bytes"],
        )
