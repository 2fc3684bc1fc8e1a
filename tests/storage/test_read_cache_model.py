"""The read cache against plain lists of batches: whatever it returns must be in them."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.support.cached_batches import (
    KIB,
    LOG,
    MIB,
    OTHER,
    Batch,
    ManualNs,
    append,
    got,
    joined,
    make_batch,
    put,
)
from tidelog.storage.cache.cached_pages import Span
from tidelog.storage.cache.cached_run import LogId
from tidelog.storage.cache.read_cache import ReadCache


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
