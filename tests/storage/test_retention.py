"""Retention arithmetic: which segments go, why, and which goes next."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tidelog.storage.local.retention import RetentionPlan, plan_retention
from tidelog.storage.local.segment import SegmentInfo
from tidelog.storage.log_settings import LogSettings

KEEP_ALL = LogSettings(retention_ms=-1, retention_bytes=-1)
NOW = 1_000_000


def chain(*segments: tuple[int, int]) -> list[SegmentInfo]:
    """Segments of ten records each with (bytes, largest timestamp); the last one is active."""
    return [
        SegmentInfo(
            base_offset=10 * number,
            next_offset=10 * number + 10,
            bytes=size,
            first_timestamp=time - 5,
            last_timestamp=time,
            sealed=number < len(segments) - 1,
        )
        for number, (size, time) in enumerate(segments)
    ]


def gone(plan: RetentionPlan) -> list[tuple[int, str]]:
    return [(expired.base_offset, expired.reason) for expired in plan.expired]


def plan(
    segments: list[SegmentInfo],
    settings: LogSettings,
    *,
    start_offset: int = 0,
    now_ms: int = NOW,
    waiting: dict[str, int] | None = None,
) -> RetentionPlan:
    return plan_retention(
        segments, settings, start_offset=start_offset, now_ms=now_ms, waiting=waiting
    )


def test_nothing_goes_without_a_limit() -> None:
    result = plan(chain((100, 1), (100, 2), (100, 3)), KEEP_ALL)
    assert gone(result) == []
    assert result.next is not None
    assert (result.next.base_offset, result.next.at_ms, result.next.after_bytes) == (0, None, None)


def test_segments_go_by_the_age_of_their_newest_record() -> None:
    settings = replace(KEEP_ALL, retention_ms=1000)
    segments = chain((100, NOW - 5000), (100, NOW - 1001), (100, NOW - 1000), (100, NOW))
    result = plan(segments, settings)
    assert gone(result) == [(0, "time"), (10, "time")]
    assert result.next is not None
    assert (result.next.base_offset, result.next.at_ms) == (20, NOW + 1)
    assert gone(plan(segments, settings, now_ms=NOW + 1))[-1] == (20, "time")


def test_a_young_segment_holds_back_older_ones_behind_it() -> None:
    settings = replace(KEEP_ALL, retention_ms=1000)
    segments = chain((100, NOW), (100, NOW - 5000), (100, NOW))
    assert gone(plan(segments, settings)) == []


def test_the_active_segment_goes_by_time_too() -> None:
    settings = replace(KEEP_ALL, retention_ms=1000)
    assert gone(plan(chain((100, NOW - 5000)), settings)) == [(0, "time")]
    assert gone(plan(chain((0, -1)), settings)) == []


def test_records_without_a_time_do_not_age() -> None:
    settings = replace(KEEP_ALL, retention_ms=1000)
    assert gone(plan(chain((100, -1), (100, NOW)), settings)) == []


def test_segments_go_by_size_while_enough_remains() -> None:
    settings = replace(KEEP_ALL, retention_bytes=250)
    segments = chain((100, 1), (100, 2), (100, 3), (100, 4))
    result = plan(segments, settings)
    assert gone(result) == [(0, "size")]
    assert result.next is not None
    assert (result.next.base_offset, result.next.after_bytes) == (10, 50)
    assert gone(plan(segments, replace(settings, retention_bytes=300))) == [(0, "size")]
    assert gone(plan(segments, replace(settings, retention_bytes=301))) == []


def test_the_active_segment_does_not_go_by_size() -> None:
    settings = replace(KEEP_ALL, retention_bytes=0)
    assert gone(plan(chain((100, 1), (100, 2)), settings)) == [(0, "size")]


def test_segments_below_the_start_offset_go_whatever_the_policy() -> None:
    settings = replace(KEEP_ALL, delete=False, compact=True)
    segments = chain((100, 1), (100, 2), (100, 3))
    assert gone(plan(segments, settings, start_offset=19)) == [(0, "start_offset")]
    assert gone(plan(segments, settings, start_offset=20)) == [
        (0, "start_offset"),
        (10, "start_offset"),
    ]
    assert gone(plan(segments, settings, start_offset=30))[-1] == (10, "start_offset")


def test_a_compacted_topic_keeps_what_is_old() -> None:
    settings = LogSettings(delete=False, compact=True, retention_ms=1, retention_bytes=1)
    assert gone(plan(chain((100, 1), (100, 2)), settings)) == []
    both = replace(settings, delete=True)
    assert gone(plan(chain((100, 1), (100, NOW)), both)) == [(0, "time")]


# Waiting for groups


WAIT = replace(KEEP_ALL, retention_ms=1000, retention_wait_for_groups=("billing",))
OLD = chain((100, NOW - 9000), (100, NOW - 8000), (100, NOW - 7000), (100, NOW))


def test_a_segment_waits_for_a_group_that_has_not_read_it() -> None:
    result = plan(OLD, WAIT, waiting={"billing": 15, "audit": 99})
    assert gone(result) == [(0, "time")]
    assert [held.base_offset for held in result.held] == [10, 20]
    assert result.held_by == ("billing",)


def test_it_does_not_wait_beyond_the_limits() -> None:
    by_time = replace(WAIT, retention_max_ms=7500)
    result = plan(OLD, by_time, waiting={"billing": 0})
    assert gone(result) == [(0, "max_time"), (10, "max_time")]
    assert [held.base_offset for held in result.held] == [20]
    by_size = replace(WAIT, retention_max_bytes=300)
    result = plan(OLD, by_size, waiting={"billing": 0})
    assert gone(result) == [(0, "max_size")]
    assert [held.base_offset for held in result.held] == [10, 20]


def test_groups_that_have_read_hold_nothing() -> None:
    result = plan(OLD, WAIT, waiting={"billing": 30})
    assert gone(result) == [(0, "time"), (10, "time"), (20, "time")]
    assert not result.held
    assert result.held_by == ()


# Whatever the segments


segment_lists = st.lists(
    st.tuples(st.integers(0, 200), st.integers(-1, 2000)), min_size=1, max_size=8
).map(lambda segments: chain(*segments))
limits = st.integers(-1, 1500)


@given(
    segments=segment_lists,
    retention_ms=limits,
    retention_bytes=limits,
    start_offset=st.integers(0, 80),
    now_ms=st.integers(0, 4000),
)
def test_only_the_oldest_go_and_only_with_a_reason(
    segments: list[SegmentInfo],
    retention_ms: int,
    retention_bytes: int,
    start_offset: int,
    now_ms: int,
) -> None:
    settings = LogSettings(retention_ms=retention_ms, retention_bytes=retention_bytes)
    result = plan(segments, settings, start_offset=start_offset, now_ms=now_ms)
    count = len(result.expired)
    assert [e.base_offset for e in result.expired] == [s.base_offset for s in segments[:count]]
    assert all(a.next_offset == b.base_offset for a, b in pairwise(result.expired))
    remaining = sum(segment.bytes for segment in segments)
    for expired, segment in zip(result.expired, segments, strict=False):
        remaining -= segment.bytes
        if expired.reason == "time":
            assert 0 <= retention_ms < now_ms - segment.last_timestamp
        elif expired.reason == "size":
            assert segment.sealed
            assert remaining >= retention_bytes >= 0
        else:
            assert expired.reason == "start_offset"
            assert segment.next_offset <= start_offset
    assert not result.held
    assert (result.next is None) == (count == len(segments))
    # What is left has no reason to go, so that a second look changes nothing.
    again = plan(segments[count:], settings, start_offset=start_offset, now_ms=now_ms)
    assert not again.expired


@given(segments=segment_lists, now_ms=st.integers(0, 4000), retention_ms=st.integers(0, 1500))
def test_the_next_segment_goes_when_it_was_said_to(
    segments: list[SegmentInfo], now_ms: int, retention_ms: int
) -> None:
    settings = LogSettings(retention_ms=retention_ms)
    result = plan(segments, settings, now_ms=now_ms)
    if result.next is None or result.next.at_ms is None or not result.next.bytes:
        return
    upcoming = next(s for s in segments if s.base_offset == result.next.base_offset)
    if upcoming.last_timestamp < 0:
        return
    before = plan(segments, settings, now_ms=result.next.at_ms - 1)
    after = plan(segments, settings, now_ms=result.next.at_ms)
    assert upcoming.base_offset not in [expired.base_offset for expired in before.expired]
    assert upcoming.base_offset in [expired.base_offset for expired in after.expired]
