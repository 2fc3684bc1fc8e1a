"""The read cache against a plain list of batches, its budget, its policy and its counters."""

from __future__ import annotations

import gc
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tidelog.storage.cached_pages import Span
from tidelog.storage.cached_run import LogId
from tidelog.storage.read_cache import ReadCache
from tidelog.storage.record_batch import encode_batch, stamp

KIB = 1024
MIB = 1024 * KIB
LOG: LogId = ("flights", "00ff", 0)
OTHER: LogId = ("flights", "00ff", 1)
ELSEWHERE: LogId = ("weather", "00aa", 0)


class Batch(NamedTuple):
    base_offset: int
    next_offset: int
    data: bytes


class ManualNs:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def make_batch(base_offset: int, records: int = 1, value_bytes: int = 20, fill: int = 0) -> Batch:
    value = bytes([fill % 256]) * value_bytes
    data = encode_batch([(1000 + n, None, value, ()) for n in range(records)])
    stamp(data, 0, base_offset, 0)
    return Batch(base_offset, base_offset + records, bytes(data))


def make_batches(count: int, base_offset: int = 0, **shape: int) -> list[Batch]:
    batches = []
    for number in range(count):
        batches.append(make_batch(base_offset, fill=number, **shape))
        base_offset = batches[-1].next_offset
    return batches


def joined(batches: list[Batch]) -> bytes:
    return b"".join(batch.data for batch in batches)


def put(cache: ReadCache, log_id: LogId, batches: list[Batch], **how: object) -> None:
    cache.put(log_id, batches[0].base_offset, batches[-1].next_offset, joined(batches), **how)  # type: ignore[arg-type]


def append(cache: ReadCache, log_id: LogId, batch: Batch) -> None:
    cache.append(log_id, batch.base_offset, batch.next_offset, batch.data)


def got(cache: ReadCache, log_id: LogId, offset: int, max_bytes: int = MIB) -> bytes | None:
    found = cache.get(log_id, offset, max_bytes)
    return None if found is None else b"".join(found.data)


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


# Budget and policy


def test_the_budget_counts_the_memory_really_held() -> None:
    def grow(cache: ReadCache) -> None:
        offset = 0
        for number in range(3000):
            partition: LogId = ("flights", "00ff", number % 50)
            batch = make_batch(offset, value_bytes=50)
            append(cache, partition, batch)
            offset = batch.next_offset
            put(cache, ("weather", "00aa", number % 50), [make_batch(10 * number)])
            cache.put_page((number, "page"), b"x" * 100, ["topic:flights", "partition:flights-1"])
        put(cache, ELSEWHERE, [make_batch(0, value_bytes=100 * KIB)])

    cache = new_cache()
    grow(new_cache())
    gc.collect()
    tracemalloc.start()
    try:
        grow(cache)
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < cache.used_bytes <= cache.budget_bytes


def test_a_replay_leaves_the_hot_tails_alone() -> None:
    cache = new_cache(MIB)
    tail = make_batches(20, value_bytes=10 * KIB)
    for batch in tail:
        append(cache, LOG, batch)
    for batch in make_batches(1000, value_bytes=10 * KIB):
        put(cache, ELSEWHERE, [batch])
    assert got(cache, LOG, 0) == joined(tail)


def test_a_replay_in_small_steps_is_not_taken_for_reuse() -> None:
    cache = new_cache(MIB)
    tail = make_batches(20, value_bytes=10 * KIB)
    for batch in tail:
        append(cache, LOG, batch)
    replayed = make_batches(1000, value_bytes=10 * KIB)
    for start in range(0, 1000, 4):
        put(cache, ELSEWHERE, replayed[start : start + 4])
        for offset in range(start + 1, start + 4):
            assert got(cache, ELSEWHERE, offset, 20 * KIB)
    assert got(cache, LOG, 0) == joined(tail)


def test_what_a_second_reader_used_outlives_a_replay() -> None:
    cache = new_cache(MIB)
    wanted = make_batch(0, value_bytes=10 * KIB)
    put(cache, LOG, [wanted])
    for offset in (0, 0):
        assert got(cache, LOG, offset)
    for batch in make_batches(1000, value_bytes=10 * KIB):
        put(cache, ELSEWHERE, [batch])
    assert got(cache, LOG, 0) == wanted.data


def test_what_comes_back_soon_after_it_went_is_kept_longer() -> None:
    cache = new_cache(MIB)
    batches = make_batches(1000, value_bytes=10 * KIB)
    wanted = make_batch(0, value_bytes=10 * KIB)
    put(cache, LOG, [wanted])
    for batch in batches[:120]:
        put(cache, ELSEWHERE, [batch])
    assert got(cache, LOG, 0) is None
    put(cache, LOG, [wanted])
    for batch in batches[120:500]:
        put(cache, ELSEWHERE, [batch])
    assert got(cache, LOG, 0) == wanted.data


def test_what_cannot_fit_is_not_taken_and_pushes_nothing_out() -> None:
    cache = new_cache(64 * KIB)
    put(cache, LOG, [make_batch(0)])
    put(cache, OTHER, [make_batch(0, value_bytes=65 * KIB)])
    append(cache, OTHER, make_batch(0, value_bytes=65 * KIB))
    cache.put_page("page", bytes(65 * KIB))
    assert got(cache, LOG, 0)
    assert got(cache, OTHER, 0) is None
    assert cache.get_page("page") is None


def test_a_cache_without_budget_holds_nothing() -> None:
    cache = new_cache(0)
    append(cache, LOG, make_batch(0))
    put(cache, LOG, [make_batch(0)])
    assert got(cache, LOG, 0) is None
    assert cache.used_bytes == 0


def test_tail_readers_keep_their_hit_rate_beside_replays() -> None:
    script = Path(__file__).parents[2] / "scripts" / "cache_hit_rate"
    subprocess.run([sys.executable, script, "--check"], check=True)


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


# Everything at once, against a plain list


class CacheMachine(RuleBasedStateMachine):
    """Two partitions as lists of batches; whatever the cache returns must agree with them."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualNs()
        self.cache = ReadCache(96 * KIB, self.clock, ttl_ms=1000)
        self.logs: dict[LogId, list[Batch]] = {LOG: [], OTHER: []}
        self.starts: dict[LogId, int] = {LOG: 0, OTHER: 0}
        self.fill = 0
        self.held: list[tuple[list[memoryview], bytes]] = []

    logs_strategy = st.sampled_from([LOG, OTHER])

    @rule(
        log_id=logs_strategy,
        records=st.integers(1, 5),
        value_bytes=st.sampled_from([0, 10, 100, 1000, 20_000, 70_000]),
        cached=st.booleans(),
    )
    def append(self, log_id: LogId, records: int, value_bytes: int, cached: bool) -> None:
        log = self.logs[log_id]
        base = log[-1].next_offset if log else self.starts[log_id]
        self.fill += 1
        batch = make_batch(base, records, value_bytes, self.fill)
        log.append(batch)
        if cached:
            append(self.cache, log_id, batch)
            if len(batch.data) < 80 * KIB:
                assert got(self.cache, log_id, base, 1) == batch.data

    @rule(log_id=logs_strategy, data=st.data())
    def fill_after_a_miss(self, log_id: LogId, data: st.DataObject) -> None:
        log = self.logs[log_id]
        if not log:
            return
        first = data.draw(st.integers(0, len(log) - 1))
        last = data.draw(st.integers(first, min(len(log) - 1, first + 20)))
        put(self.cache, log_id, log[first : last + 1], hot=data.draw(st.booleans()))

    @rule(
        log_id=logs_strategy,
        at=st.floats(0, 1),
        max_bytes=st.sampled_from([0, 1, 100, 1000, 30_000, MIB]),
    )
    def get(self, log_id: LogId, at: float, max_bytes: int) -> None:
        log = self.logs[log_id]
        end = log[-1].next_offset if log else self.starts[log_id]
        offset = self.starts[log_id] + int(at * (end - self.starts[log_id]))
        found = self.cache.get(log_id, offset, max_bytes)
        if found is None:
            return
        content = b"".join(found.data)
        first = next(n for n, batch in enumerate(log) if batch.next_offset > offset)
        sizes = [len(log[first].data)]
        while sum(sizes) < len(content):
            sizes.append(len(log[first + len(sizes)].data))
        read = log[first : first + len(sizes)]
        assert content == joined(read)
        assert found.next_offset == read[-1].next_offset
        assert len(content) <= max_bytes or len(sizes) == 1
        self.held.append((found.data, content))

    @rule(log_id=logs_strategy, at=st.floats(0, 1))
    def truncate(self, log_id: LogId, at: float) -> None:
        log = self.logs[log_id]
        keep = int(at * len(log))
        cut = log[keep].base_offset if keep < len(log) else None
        if cut is None:
            return
        end = log[-1].next_offset
        del log[keep:]
        self.cache.drop(log_id, from_offset=cut)
        assert all(self.cache.get(log_id, offset, 1) is None for offset in range(cut, end))

    @rule(log_id=logs_strategy, at=st.floats(0, 1))
    def delete_below(self, log_id: LogId, at: float) -> None:
        log = self.logs[log_id]
        if not log:
            return
        start = self.starts[log_id]
        below = start + int(at * (log[-1].next_offset - start))
        self.starts[log_id] = below
        while log and log[0].next_offset <= below:
            del log[0]
        self.cache.drop(log_id, below_offset=below)
        assert all(self.cache.get(log_id, offset, 1) is None for offset in range(start, below))

    @rule(log_id=logs_strategy)
    def recreate(self, log_id: LogId) -> None:
        self.logs[log_id].clear()
        self.starts[log_id] = 0
        self.cache.drop(log_id)

    @rule(tag=st.sampled_from(["topic:flights", "partition:flights-0", "topic:none"]))
    def drop_tag(self, tag: str) -> None:
        self.cache.drop_tag(tag)

    @rule(number=st.integers(0, 30), size=st.sampled_from([1, 1000, 10_000]))
    def put_page(self, number: int, size: int) -> None:
        self.cache.put_page(number, bytes([number]) * size, spans=[Span(LOG, number, number + 5)])
        assert self.cache.get_page(number) == bytes([number]) * size

    @rule(number=st.integers(0, 30))
    def get_page(self, number: int) -> None:
        page = self.cache.get_page(number)
        assert page is None or set(page) == {number}

    @rule(budget_bytes=st.sampled_from([90 * KIB, 96 * KIB, MIB]))
    def resize(self, budget_bytes: int) -> None:
        self.cache.budget_bytes = budget_bytes

    @rule(ms=st.sampled_from([1, 400]))
    def wait(self, ms: int) -> None:
        self.clock.now += ms * 1_000_000

    @precondition(lambda self: self.held)
    @rule()
    def views_stay_as_they_were(self) -> None:
        for views, content in self.held:
            assert b"".join(views) == content

    @invariant()
    def the_budget_is_kept_and_adds_up(self) -> None:
        cache = self.cache
        assert cache.used_bytes <= cache.budget_bytes
        topics = cache.topic_stats().values()
        assert sum(topic.bytes for topic in topics) <= cache.used_bytes
        assert sum(topic.entries for topic in topics) == cache.stats().entries


CacheMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestCacheAgainstAList = CacheMachine.TestCase
