"""What stays in the read cache: its budget, kept strictly, and its policy."""

from __future__ import annotations

import gc
import subprocess
import sys
import tracemalloc
from pathlib import Path

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
from tidelog.storage.cache.cached_run import LogId
from tidelog.storage.cache.read_cache import ReadCache


def new_cache(budget_bytes: int = 4 * MIB) -> ReadCache:
    return ReadCache(budget_bytes, ManualNs())


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
