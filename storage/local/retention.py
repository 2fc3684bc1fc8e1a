"""Retention arithmetic: which segments of a log go now, why, and which goes next.

Pure: the same function serves the housekeeping, the dry run and the tests. Rules are Apache
Kafka's (``UnifiedLog.deleteOldSegments``): oldest first and without gaps; by start offset, by
size while what remains is still at least ``retention_bytes``, and by the age of a segment's
largest timestamp. Beyond Kafka a segment may wait for consumer groups, up to a limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tidelog.storage.local.segment import SegmentInfo
from tidelog.storage.log_settings import LogSettings


class Expired(NamedTuple):
    """A segment that goes now; ``reason`` is start_offset, time, size, max_time or max_size."""

    base_offset: int
    next_offset: int
    bytes: int
    reason: str


class NextExpiry(NamedTuple):
    """The segment that goes next: when (ms), or after how many more bytes; None: never so."""

    base_offset: int
    bytes: int
    at_ms: int | None
    after_bytes: int | None


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """What goes now, what goes next, and what only waits for a group (``held_by``)."""

    expired: tuple[Expired, ...]
    next: NextExpiry | None
    held: tuple[Expired, ...]
    held_by: tuple[str, ...]


def plan_retention(
    segments: Sequence[SegmentInfo],
    settings: LogSettings,
    *,
    start_offset: int,
    now_ms: int,
    waiting: dict[str, int] | None = None,
) -> RetentionPlan:
    """Decide over ``segments``, oldest first, the active one last.

    ``waiting`` holds, for each group that the topic waits for, the offset it has committed
    (0 for none).
    """
    waiting = waiting or {}
    needed_from = min(waiting.values(), default=None)
    total = sum(segment.bytes for segment in segments)
    expired: list[Expired] = []
    held: list[Expired] = []
    upcoming: SegmentInfo | None = None
    for segment in segments:
        reason = _reason(segment, settings, start_offset, total, now_ms)
        if reason is None:
            upcoming = segment
            break
        if needed_from is not None and segment.next_offset > needed_from:
            forced = _forced(segment, settings, total, now_ms)
            if reason != "start_offset" and (held or forced is None):
                held.append(
                    Expired(segment.base_offset, segment.next_offset, segment.bytes, reason)
                )
                total -= segment.bytes
                continue
            reason = reason if reason == "start_offset" else forced or reason
        expired.append(Expired(segment.base_offset, segment.next_offset, segment.bytes, reason))
        total -= segment.bytes
    holding = held[0].next_offset if held else 0
    return RetentionPlan(
        tuple(expired),
        None if upcoming is None else _next(upcoming, settings, total, now_ms),
        tuple(held),
        tuple(sorted(group for group, offset in waiting.items() if offset < holding)),
    )


def _reason(
    segment: SegmentInfo, settings: LogSettings, start_offset: int, total: int, now_ms: int
) -> str | None:
    if segment.sealed and segment.next_offset <= start_offset:
        return "start_offset"
    if not settings.delete or segment.bytes == 0:
        return None
    if _is_older(segment, settings.retention_ms, now_ms):
        return "time"
    if segment.sealed and 0 <= settings.retention_bytes <= total - segment.bytes:
        return "size"
    return None


def _forced(segment: SegmentInfo, settings: LogSettings, total: int, now_ms: int) -> str | None:
    """Why a segment goes although a group has not read it."""
    if _is_older(segment, settings.retention_max_ms, now_ms):
        return "max_time"
    if 0 <= settings.retention_max_bytes <= total - segment.bytes:
        return "max_size"
    return None


def _is_older(segment: SegmentInfo, limit_ms: int, now_ms: int) -> bool:
    """Whether every record is older than the limit; records without a time never are."""
    return segment.last_timestamp >= 0 and 0 <= limit_ms < now_ms - segment.last_timestamp


def _next(segment: SegmentInfo, settings: LogSettings, total: int, now_ms: int) -> NextExpiry:
    at_ms = after_bytes = None
    if settings.delete and segment.bytes:
        if settings.retention_ms >= 0:
            at_ms = max(now_ms, segment.last_timestamp + settings.retention_ms + 1)
        if settings.retention_bytes >= 0:
            after_bytes = max(0, settings.retention_bytes - (total - segment.bytes))
    return NextExpiry(segment.base_offset, segment.bytes, at_ms, after_bytes)
