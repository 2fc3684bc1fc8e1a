"""What the read cache returns, what it forgets and what it counts."""

from __future__ import annotations

import pytest

from tests.support.cached_batches import (
    ELSEWHERE,
    KIB,
    LOG,
    MIB,
    OTHER,
    ManualNs,
    append,
    got,
    joined,
    make_batch,
    make_batches,
    put,
)
from tidelog.storage.cache.cached_pages import Span
from tidelog.storage.cache.read_cache import ReadCache


def new_cache(budget_bytes: int = 4 * MIB) -> ReadCache:
    return ReadCache(budget_bytes, ManualNs())


# Reading


def test_a_run_is_read_from_the_batch_that_holds_the_offset() -> None:
    cache, batches = new_cache(), make_batches(100, records=3)
    put(cache, LOG, batches)
    for offset in range(300):
        assert got(cache, LOG, offset) == joined(batches[offset // 3 :])
    assert got(cache, LOG, 300) is None
    assert got(cache, OTHER, 0) is None


def test_max_bytes_ends_at_a_batch_but_gives_at_least_one() -> None:
    cache, batches = new_cache(), make_batches(100)
    size = len(batches[0].data)
    put(cache, LOG, batches)
    assert got(cache, LOG, 7, 0) == batches[7].data
    assert got(cache, LOG, 7, 1) == batches[7].data
    assert got(cache, LOG, 7, 2 * size - 1) == batches[7].data
    assert got(cache, LOG, 7, 2 * size) == joined(batches[7:9])
    assert got(cache, LOG, 0, 99 * size + 1) == joined(batches[:99])


def test_an_oversized_first_batch_comes_alone() -> None:
    cache = new_cache()
    big, small = make_batch(0, value_bytes=5000), make_batch(1)
    put(cache, LOG, [big])
    put(cache, LOG, [small])
    assert got(cache, LOG, 0, 100) == big.data


def test_contiguous_runs_are_read_as_one_and_a_gap_ends_them() -> None:
    cache, batches = new_cache(), make_batches(30, value_bytes=2000)
    put(cache, LOG, batches[:10])
    put(cache, LOG, batches[10:20])
    put(cache, LOG, batches[25:])
    assert got(cache, LOG, 5) == joined(batches[5:20])
    assert got(cache, LOG, 22) is None
    assert got(cache, LOG, 26) == joined(batches[26:])


def test_overlapping_runs_fill_only_the_gaps() -> None:
    cache, batches = new_cache(), make_batches(60, value_bytes=500)
    put(cache, LOG, batches[10:20])
    put(cache, LOG, batches[30:40])
    held = cache.used_bytes
    put(cache, LOG, batches[12:18])
    assert cache.used_bytes == held
    put(cache, LOG, batches[5:50])
    for offset in range(5, 50):
        assert got(cache, LOG, offset) == joined(batches[offset:50])


def test_offsets_that_compaction_removed_are_answered_by_what_follows() -> None:
    cache = new_cache()
    first, later = make_batch(10, records=5), make_batch(40, records=2)
    cache.put(LOG, 3, 20, first.data)
    cache.put(LOG, 20, 42, later.data)
    assert got(cache, LOG, 3) == first.data + later.data
    assert got(cache, LOG, 14) == first.data + later.data
    found = cache.get(LOG, 3, 1)
    assert found is not None
    assert got(cache, LOG, found.next_offset) == later.data
    assert got(cache, LOG, 17) == later.data
    assert got(cache, LOG, 25) == later.data


def test_views_are_read_only_and_outlive_what_happens_to_the_cache() -> None:
    cache, batches = new_cache(), make_batches(6)
    for batch in batches[:3]:
        append(cache, LOG, batch)
    found = cache.get(LOG, 0, MIB)
    assert found is not None
    views = found.data
    assert all(view.readonly for view in views)
    cache.drop(LOG, from_offset=1)
    for number in range(1, 4):
        append(cache, LOG, make_batch(number, fill=99))
    cache.budget_bytes = 0
    assert b"".join(views) == joined(batches[:3])


def test_bytes_that_are_no_batches_are_a_miss_and_go() -> None:
    cache, batches = new_cache(), make_batches(3)
    damaged = bytearray(joined(batches))
    size = len(batches[0].data)
    damaged[size + 8 : size + 12] = b"\xff\xff\xff\xf4"
    cache.put(LOG, 0, 3, bytes(damaged))
    assert got(cache, LOG, 2) is None
    assert cache.stats().entries == 0


# Appending


def test_small_appends_share_buffers() -> None:
    cache, batches = new_cache(), make_batches(5000)
    for batch in batches:
        append(cache, LOG, batch)
    stats = cache.stats()
    assert got(cache, LOG, 0, 4 * MIB) == joined(batches)
    assert stats.entries < 12
    assert stats.bytes < 2 * len(joined(batches))


def test_small_fills_share_buffers_too() -> None:
    cache, batches = new_cache(), make_batches(200)
    for batch in batches:
        put(cache, LOG, [batch])
    assert got(cache, LOG, 0) == joined(batches)
    assert cache.stats().entries < 10


def test_an_append_below_what_is_cached_replaces_it() -> None:
    cache, batches = new_cache(), make_batches(10)
    put(cache, LOG, batches)
    again = make_batch(4, fill=200)
    append(cache, LOG, again)
    assert got(cache, LOG, 3) == batches[3].data + again.data
    assert got(cache, LOG, 5) is None


def test_the_buffer_of_an_append_may_be_reused_by_the_caller() -> None:
    cache = new_cache()
    for value_bytes in (20, 100 * KIB):
        batch = make_batch(0, value_bytes=value_bytes)
        buffer = bytearray(batch.data)
        cache.append(LOG, 0, 1, memoryview(buffer))
        buffer[:] = bytes(len(buffer))
        assert got(cache, LOG, 0) == batch.data


# Invalidation


@pytest.mark.parametrize("cut", [0, 1, 14, 15, 16, 29, 30])
def test_truncation_drops_exactly_what_it_cuts(cut: int) -> None:
    cache, batches = new_cache(), make_batches(10, records=3)
    put(cache, LOG, batches)
    put(cache, OTHER, batches)
    cache.drop(LOG, from_offset=cut)
    kept = [batch for batch in batches if batch.next_offset <= cut]
    for offset in range(30):
        expected = joined(kept[offset // 3 :]) if offset < len(kept) * 3 else None
        assert got(cache, LOG, offset) == expected
    assert got(cache, OTHER, 0) == joined(batches)


@pytest.mark.parametrize("below", [0, 1, 14, 15, 16, 29, 30])
def test_deletion_drops_exactly_what_lies_below(below: int) -> None:
    cache, batches = new_cache(), make_batches(10, records=3)
    put(cache, LOG, batches[:5])
    put(cache, LOG, batches[5:])
    cache.drop(LOG, below_offset=below)
    for offset in range(30):
        expected = joined(batches[offset // 3 :]) if offset >= below else None
        assert got(cache, LOG, offset) == expected


def test_a_range_can_be_dropped() -> None:
    cache, batches = new_cache(), make_batches(40, value_bytes=500)
    for start in range(0, 40, 10):
        put(cache, LOG, batches[start : start + 10])
    cache.drop(LOG, from_offset=10, below_offset=30)
    assert got(cache, LOG, 5) == joined(batches[5:10])
    assert all(got(cache, LOG, offset) is None for offset in range(10, 30))
    assert got(cache, LOG, 30) == joined(batches[30:])


def test_dropping_all_of_a_log_gives_back_its_memory() -> None:
    cache = new_cache()
    put(cache, LOG, make_batches(40, value_bytes=500))
    cache.put_page("page", b"rendered", spans=[Span(LOG, 0, 40)])
    assert cache.used_bytes > 20 * KIB
    cache.drop(LOG)
    assert cache.used_bytes == 0
    assert cache.stats().entries == 0


def test_tags_drop_a_topic_or_a_partition() -> None:
    cache, batches = new_cache(), make_batches(3)
    for log_id in (LOG, OTHER, ELSEWHERE):
        put(cache, log_id, batches)
    cache.put_page("a", b"a", ["topic:flights"])
    cache.put_page("b", b"b", ["topic:weather", "partition:weather-0"])
    assert cache.drop_tag("partition:flights-1") == 1
    assert got(cache, LOG, 0)
    assert got(cache, OTHER, 0) is None
    assert cache.drop_tag("topic:flights") == 2
    assert got(cache, LOG, 0) is None
    assert cache.get_page("a") is None
    assert cache.get_page("b") == b"b"
    assert got(cache, ELSEWHERE, 0)
    assert cache.drop_tag("topic:unknown") == 0


def test_what_was_fetched_before_a_drop_is_not_brought_back() -> None:
    cache, batches = new_cache(), make_batches(10)
    token = cache.token
    cache.drop(LOG, from_offset=5)
    put(cache, LOG, batches, token=token)
    cache.put_page("page", b"stale", token=token)
    assert got(cache, LOG, 0) is None
    assert cache.get_page("page") is None
    put(cache, LOG, batches[:5], token=cache.token)
    assert got(cache, LOG, 0) == joined(batches[:5])


def test_nothing_is_served_beyond_its_time_to_live() -> None:
    clock = ManualNs()
    cache, batches = ReadCache(MIB, clock, ttl_ms=100), make_batches(6)
    put(cache, LOG, batches[:3])
    cache.put_page("page", b"rendered")
    clock.now = 100_000_000
    put(cache, OTHER, batches)
    assert got(cache, LOG, 0)
    assert cache.get_page("page")
    clock.now += 1
    assert got(cache, LOG, 0) is None
    assert cache.get_page("page") is None
    assert got(cache, OTHER, 0)
    clock.now *= 2
    cache.expire()
    assert cache.used_bytes == 0


def test_a_new_append_does_not_extend_what_is_too_old() -> None:
    clock = ManualNs()
    cache, batches = ReadCache(MIB, clock, ttl_ms=100), make_batches(2)
    append(cache, LOG, batches[0])
    clock.now = 100_000_001
    append(cache, LOG, batches[1])
    assert got(cache, LOG, 1) == batches[1].data
    assert got(cache, LOG, 0) is None


# Pages


def test_pages_go_when_what_they_were_made_from_changes() -> None:
    cache = new_cache()
    cache.put_page("early", b"1", spans=[Span(LOG, 0, 10)])
    cache.put_page("late", b"2", spans=[Span(LOG, 10, 20)])
    cache.put_page("both", b"3", spans=[Span(LOG, 5, 15), Span(OTHER, 0, 5)])
    cache.put_page("tagged", b"4", ["partition:flights-0"])
    cache.put_page("topic", b"5", ["topic:flights"])
    cache.put_page("other", b"6", ["topic:flights", "partition:flights-1"])
    cache.drop(LOG, from_offset=15)
    kept = {
        key for key in ("early", "late", "both", "tagged", "topic", "other") if cache.get_page(key)
    }
    assert kept == {"early", "both", "other"}
    cache.drop(OTHER, below_offset=1)
    assert cache.get_page("both") is None
    assert cache.get_page("early") == b"1"


def test_a_page_is_replaced_under_its_key() -> None:
    cache = new_cache()
    cache.put_page(("r", 1), b"old", ["topic:flights"])
    cache.put_page(("r", 1), b"new", ["topic:flights"])
    assert cache.get_page(("r", 1)) == b"new"
    assert cache.stats().entries == 1


# Counters


def test_counters_per_topic_and_in_total() -> None:
    ticks = iter(range(0, 10**9, 700))
    cache = ReadCache(MIB, lambda: next(ticks))
    batches = make_batches(4)
    put(cache, LOG, batches)
    cache.put_page("page", b"x", ["topic:weather"])
    for _ in range(3):
        assert got(cache, LOG, 0)
    assert got(cache, ELSEWHERE, 0) is None
    assert cache.get_page("page")
    assert cache.get_page("none", "weather") is None
    total, topics = cache.stats(), cache.topic_stats()
    assert (total.hits, total.misses, total.hit_rate) == (3, 1, 0.75)
    assert total.hit_bytes == 3 * len(joined(batches))
    assert (total.page_hits, total.page_misses, total.entries) == (1, 1, 2)
    assert total.hit_latency_mean_ns == 700
    assert total.hit_latency_p99_ns == 1024
    assert (topics["flights"].hits, topics["flights"].misses) == (3, 0)
    assert (topics["weather"].hits, topics["weather"].misses) == (0, 1)
    assert (topics["weather"].page_hits, topics["weather"].page_misses) == (1, 1)
    assert topics["flights"].bytes + topics["weather"].bytes < total.bytes == cache.used_bytes
    cache.budget_bytes = 0
    assert cache.stats().evictions == 2
    assert cache.topic_stats()["flights"].evictions == 1
    assert cache.topic_stats()["flights"].bytes == 0
    cache.forget_topic("flights")
    assert "flights" not in cache.topic_stats()


# Replays


def test_what_a_replay_fetches_comes_in_when_it_is_fetched_again() -> None:
    cache = new_cache()
    replayed = [make_batch(offset, value_bytes=MIB) for offset in range(2)]
    put(cache, LOG, replayed[:1])
    assert got(cache, LOG, 0) is None
    put(cache, LOG, replayed[1:])
    put(cache, LOG, replayed[:1])
    assert got(cache, LOG, 0) == replayed[0].data
    assert got(cache, LOG, 1) is None


def test_a_replay_leaves_little_behind() -> None:
    cache = new_cache()
    for offset in range(1000):
        put(cache, LOG, [make_batch(offset, value_bytes=MIB // 2)])
    assert cache.used_bytes < 64 * KIB


def test_what_is_warmed_comes_in_at_once() -> None:
    cache, batch = new_cache(), make_batch(0, value_bytes=MIB)
    cache.put(LOG, 0, 1, batch.data, hot=True)
    assert got(cache, LOG, 0) == batch.data
