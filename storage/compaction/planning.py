"""Compaction arithmetic: whether a log is due, which segments a pass reads, what it keeps.

Pure. Rules are Apache Kafka's (``LogCleanerManager``, ``LogToClean``, ``Cleaner``). What earlier
passes have read is clean, the sealed segments after it are dirty. A pass reads all of them, from
the start of the log, and keeps of each key the newest record; never the active segment, nothing
beyond ``stable_offset``, nothing younger than ``min.compaction.lag.ms``. Offsets never change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from tidelog.storage.batches.record import Record
from tidelog.storage.batches.record_batch import BatchHeader
from tidelog.storage.compaction.key_map import KeyMap
from tidelog.storage.local.segment import SegmentInfo
from tidelog.storage.log_settings import LogSettings

_TIMESTAMP_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class CompactionPlan:
    """What a pass would read: ``segments`` are base offsets, oldest first.

    ``cleaned_offset`` is where the dirty part begins and ``end_offset`` where it ends.
    ``reason`` is dirty_ratio or max_lag, None while the log is not due.
    """

    segments: tuple[int, ...]
    cleaned_offset: int
    end_offset: int
    clean_bytes: int
    dirty_bytes: int
    reason: Literal["dirty_ratio", "max_lag"] | None

    @property
    def dirty_ratio(self) -> float:
        """The dirty share of what a pass would read."""
        total = self.clean_bytes + self.dirty_bytes
        return self.dirty_bytes / total if total else 0.0


def plan_compaction(
    segments: Sequence[SegmentInfo],
    settings: LogSettings,
    *,
    cleaned_offset: int,
    start_offset: int,
    stable_offset: int,
    now_ms: int,
) -> CompactionPlan:
    """Decide over ``segments``, oldest first; ``cleaned_offset`` is what the checkpoint says."""
    cleaned_offset = max(cleaned_offset, start_offset)
    clean = [s for s in segments if s.sealed and s.next_offset <= cleaned_offset]
    dirty: list[SegmentInfo] = []
    for segment in segments[len(clean) :]:
        young = segment.last_timestamp > now_ms - settings.min_compaction_lag_ms
        if not segment.sealed or segment.next_offset > stable_offset:
            break
        if settings.min_compaction_lag_ms > 0 and young:
            break
        dirty.append(segment)
    plan = CompactionPlan(
        tuple(segment.base_offset for segment in (*clean, *dirty) if segment.bytes),
        cleaned_offset,
        dirty[-1].next_offset if dirty else cleaned_offset,
        sum(segment.bytes for segment in clean),
        sum(segment.bytes for segment in dirty),
        None,
    )
    if not settings.compact or not plan.dirty_bytes:
        return plan
    times = [segment.first_timestamp for segment in dirty if segment.first_timestamp > 0]
    reason: Literal["dirty_ratio", "max_lag"] | None = None
    if plan.dirty_ratio > settings.min_cleanable_dirty_ratio:
        reason = "dirty_ratio"
    elif min(times, default=now_ms) < now_ms - settings.max_compaction_lag_ms:
        reason = "max_lag"
    return replace(plan, reason=reason)


class Kept(NamedTuple):
    """What stays of a batch.

    ``horizon_ms`` is a delete horizon to set, None to leave it; ``as_header`` says whether a
    batch without records stays as a header.
    """

    records: Sequence[Record]
    horizon_ms: int | None
    as_header: bool


class KeepRules:
    """Which records of which batches stay in one pass; batches are asked for in order.

    ``last_offsets`` holds, for each producer that is remembered, the offset of its last record:
    that batch stays, if only as a header, so that its sequence is known after a restart.
    """

    def __init__(
        self, keys: KeyMap, last_offsets: dict[int, int], delete_retention_ms: int, now_ms: int
    ) -> None:
        self._keys = keys
        self._end_offset = keys.end_offset
        self._last_offsets = last_offsets
        self._delete_retention_ms = delete_retention_ms
        self._now_ms = now_ms
        self._open_transactions: set[int] = set()

    def keep(self, header: BatchHeader, records: Sequence[Record]) -> Kept:
        """What stays of a batch that holds ``records``."""
        last_offset = self._last_offsets.get(header.producer_id, -1)
        as_header = header.last_offset == last_offset
        horizon_ms = header.delete_horizon_ms
        expired = horizon_ms is not None and horizon_ms <= self._now_ms
        if header.is_control:
            unused = header.producer_id not in self._open_transactions
            self._open_transactions.discard(header.producer_id)
            kept = [] if unused and expired else records
            sets_horizon = unused
        else:
            if header.is_transactional:
                self._open_transactions.add(header.producer_id)
            kept = [] if self._keys.is_aborted(header) else self._newest(records, expired)
            sets_horizon = any(record.value is None for record in kept)
        if not sets_horizon or horizon_ms is not None or not kept:
            return Kept(kept, None, as_header)
        horizon_ms = min(self._now_ms + self._delete_retention_ms, _TIMESTAMP_MAX)
        return Kept(kept, horizon_ms, as_header)

    def _newest(self, records: Sequence[Record], expired: bool) -> list[Record]:
        """Those with a key and no later record; tombstones until their horizon."""
        end_offset, is_newest = self._end_offset, self._keys.is_newest
        return [
            record
            for record in records
            if record.offset >= end_offset
            or (
                record.key is not None
                and is_newest(record.key, record.offset)
                and (record.value is not None or not expired)
            )
        ]
