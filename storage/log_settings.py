"""What a topic's settings mean to its logs, as plain numbers. Defaults are Apache Kafka's."""

from __future__ import annotations

from dataclasses import dataclass

_DAY_MS = 24 * 60 * 60 * 1000
NO_LIMIT = -1


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Settings of one topic; names are Kafka's with the unit; -1 means no limit."""

    segment_bytes: int = 1024 * 1024 * 1024
    segment_ms: int = 7 * _DAY_MS
    index_interval_bytes: int = 4096
    max_message_bytes: int = 1024 * 1024 + 12
    retention_ms: int = 7 * _DAY_MS
    retention_bytes: int = NO_LIMIT
    retention_wait_for_groups: tuple[str, ...] = ()
    retention_max_ms: int = NO_LIMIT
    retention_max_bytes: int = NO_LIMIT
    delete: bool = True
    compact: bool = False
    timestamp_type: str = "CreateTime"
    timestamp_before_max_ms: int = 2**63 - 1
    timestamp_after_max_ms: int = 60 * 60 * 1000
    file_delete_delay_ms: int = 60 * 1000
    compression_type: str = "producer"
    min_cleanable_dirty_ratio: float = 0.5
    min_compaction_lag_ms: int = 0
    max_compaction_lag_ms: int = 2**63 - 1
    delete_retention_ms: int = _DAY_MS

    @property
    def roll_ms(self) -> int:
        """Age at which a segment is sealed; compaction must see it before its lag has passed."""
        return min(self.segment_ms, self.max_compaction_lag_ms) if self.compact else self.segment_ms

    @property
    def append_time(self) -> bool:
        """Whether records get the broker's time instead of their own."""
        return self.timestamp_type == "LogAppendTime"
