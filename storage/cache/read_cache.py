"""The read cache: the hot parts of logs in memory, byte for byte as the files hold them.

First level: runs of whole batches, found by partition and offset in logarithmic time. Second
level: pages that were rendered from them, found by what was asked. Both share one byte budget,
which counts what the tables around them take and is never exceeded.

Appends are written through where somebody reads at the tail, and are hot from the start; what a
miss fetched comes in on probation (see ``s3_fifo.py``), so that a replay of the past does not
push out the present. A miss that fetched very much comes in when it is fetched again: most
replays never come back, and to keep their bytes would cost more than to read them.

Whoever changes a log tells the cache with ``drop``. Whoever fetches from disk while the event
loop goes on takes a ``token`` before and hands it in with the bytes: what was dropped in between
is then not brought back.

For one thread. Knows no clock of its own: it is given one that returns nanoseconds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple

from tidelog.storage.buffers import Buffer
from tidelog.storage.cache.cache_stats import CacheStats, Counters
from tidelog.storage.cache.cached_log import LOG_BYTES, CachedLog
from tidelog.storage.cache.cached_pages import CachedPages, Page, Span, partition_tag, topic_tag
from tidelog.storage.cache.cached_run import LogId, Part, Run, held_bytes, run_cost
from tidelog.storage.cache.s3_fifo import S3Fifo
from tidelog.storage.errors import CorruptBatch

__all__ = ("CachedRead", "LogId", "ReadCache", "Span")

_BUFFER_MIN = 4 * 1024
_BUFFER_MAX = 256 * 1024
_BUFFER_SHARE = 64
"""Appends of a log share buffers that double from the least size to the largest.

No buffer is made larger than this part of the budget.
"""
_ALONE_MIN = 64 * 1024
"""An append of this size shares its buffer with no other."""
_REPLAY_MIN = 512 * 1024
"""A miss that fetched this much is a replay."""
_WASTE_SHARE = 8
"""A view into a larger buffer is kept as it is while less than this part of it is wasted."""


class CachedRead(NamedTuple):
    """Contiguous whole batches, and the offset that follows them."""

    data: list[memoryview]
    next_offset: int


class ReadCache:
    """Runs and pages within ``budget_bytes``; ``ttl_ms`` bounds the age of either."""

    def __init__(
        self, budget_bytes: int, monotonic_ns: Callable[[], int], *, ttl_ms: int | None = None
    ) -> None:
        self.ttl_ms = ttl_ms
        self._now_ns = monotonic_ns
        self._policy: S3Fifo[Run | Page] = S3Fifo(budget_bytes, self._evicted)
        self._logs: dict[LogId, CachedLog] = {}
        self._pages = CachedPages()
        self._total = Counters()
        self._topics: dict[str, Counters] = {}
        self._drops = 0

    @property
    def budget_bytes(self) -> int:
        """The bound on ``used_bytes``; lowering it evicts at once."""
        return self._policy.budget_bytes

    @budget_bytes.setter
    def budget_bytes(self, budget_bytes: int) -> None:
        self._policy.budget_bytes = budget_bytes

    @property
    def used_bytes(self) -> int:
        """Everything held, tables included."""
        return self._policy.used_bytes

    @property
    def token(self) -> int:
        """Changes with every drop; take it before fetching, hand it in with what was fetched."""
        return self._drops

    # Runs

    def get(self, log_id: LogId, offset: int, max_bytes: int) -> CachedRead | None:
        """Contiguous whole batches, the first of which reaches ``offset``; None for a miss.

        At most ``max_bytes``, but at least one batch. The views stay valid for as long as they
        are kept.
        """
        begin_ns = self._now_ns()
        log = self._logs.get(log_id)
        run = log.at(offset) if log is not None else None
        if log is not None and run is not None:
            read = self._collect(log, run, offset, max_bytes, begin_ns)
            if read.data:
                size = sum(map(len, read.data))
                took_ns = self._now_ns() - begin_ns
                self._total.hit(size, took_ns)
                log.counters.hit(size, took_ns)
                return read
        self._total.misses += 1
        self._counters(log_id[0]).misses += 1
        return None

    def _collect(self, log: CachedLog, run: Run, offset: int, room: int, now_ns: int) -> CachedRead:
        """Views from ``offset`` in ``run`` on; a run that proves bad or stale goes."""
        views: list[memoryview] = []
        next_offset = offset
        try:
            position = run.front if offset == run.base_offset else run.position_of(offset)
            run.note_asked(offset)
            while not self._is_stale(run, now_ns):
                end = run.size
                if end - position > room:
                    end = run.boundary(position, position + room)
                    if end == position and not views:
                        end = run.end_of_batch(position)
                if end > position:
                    views.append(run.view[position:end])
                    room = max(room - (end - position), 0)
                    next_offset = run.offset_at(end)
                following = log.after(run) if end == run.size else None
                if following is None:
                    return CachedRead(views, next_offset)
                run, position = following, following.front
        except CorruptBatch:
            # The bytes on disk are to blame; reading them there tells the caller where.
            pass
        self._remove(run)
        return CachedRead(views, next_offset)

    def append(self, log_id: LogId, base_offset: int, next_offset: int, data: Buffer) -> None:
        """Write through what was appended to a log; ``data`` is copied.

        Offsets from ``base_offset`` on that are still cached are stale by this and go.
        """
        log = self._logs.get(log_id)
        if log is not None and log.last.next_offset > base_offset:
            self.drop(log_id, from_offset=base_offset)
            log = self._logs.get(log_id)
        before = log.before(base_offset) if log is not None else None
        capacity = _BUFFER_MIN
        if before is not None and before.in_main and not self._is_stale(before, self._now_ns()):
            if before.spare >= len(data):
                before.extend(next_offset, data)
                return
            most = min(_BUFFER_MAX, self.budget_bytes // _BUFFER_SHARE)
            capacity = max(min(2 * before.capacity, most), _BUFFER_MIN)
        if len(data) >= min(capacity, _ALONE_MIN):
            data, capacity = bytes(data), 0
        self._insert(log_id, Part(base_offset, next_offset, data), capacity, hot=True)

    def put(
        self,
        log_id: LogId,
        base_offset: int,
        next_offset: int,
        data: Buffer,
        *,
        token: int | None = None,
        hot: bool = False,
    ) -> None:
        """Keep whole batches that were read from the log; ``data`` must not change any more.

        ``base_offset`` may lie before the first batch where compaction left a gap. What is
        cached already stays; only the gaps are filled. ``hot`` warms: no probation.
        """
        if not data or (token is not None and token != self._drops):
            return
        is_replay = len(data) >= _REPLAY_MIN and not hot
        if is_replay and not self._policy.recall((log_id, base_offset)):
            return
        part = Part(base_offset, next_offset, data)
        log = self._logs.get(log_id)
        try:
            parts = [part] if log is None else log.gaps(part)
        except CorruptBatch:
            return
        for gap in parts:
            self._fill(log_id, gap, hot=hot)

    def _fill(self, log_id: LogId, part: Part, *, hot: bool) -> None:
        """Keep a part that overlaps nothing; small parts join the run before them."""
        data = part.data
        if len(data) >= _BUFFER_MIN:
            if held_bytes(data) - len(data) > len(data) // _WASTE_SHARE:
                part = part._replace(data=bytes(data))
            self._insert(log_id, part, 0, hot=hot)
            return
        log = self._logs.get(log_id)
        before = log.before(part.base_offset) if log is not None else None
        if before is not None and before.spare >= len(data):
            before.extend(part.next_offset, data)
            return
        self._insert(log_id, part, _BUFFER_MIN, hot=hot)

    def _insert(self, log_id: LogId, part: Part, capacity: int, *, hot: bool) -> None:
        if not self._policy.make_room(run_cost(max(capacity, held_bytes(part.data))) + LOG_BYTES):
            return
        log = self._logs.get(log_id)
        if log is None:
            log = self._logs[log_id] = CachedLog(log_id, self._counters(log_id[0]))
            self._policy.charge(LOG_BYTES)
        run = Run(log_id, part, capacity, self._now_ns())
        log.insert(run)
        self._policy.add(run, (log_id, part.base_offset), hot=hot)
        log.counters.add(run.cost_bytes)

    # Pages

    def get_page(self, key: Hashable, topic: str | None = None) -> bytes | None:
        """The page kept under ``key``; ``topic`` is whom a miss is counted for."""
        page = self._pages.get(key)
        if page is not None and self._is_stale(page, self._now_ns()):
            self._remove(page)
            page = None
        if page is None:
            self._total.page_misses += 1
            if topic is not None:
                self._counters(topic).page_misses += 1
            return None
        page.use()
        self._total.page_hits += 1
        for name in page.topics:
            self._counters(name).page_hits += 1
        return page.value

    def put_page(
        self,
        key: Hashable,
        value: bytes,
        tags: Iterable[str] = (),
        *,
        spans: Iterable[Span] = (),
        token: int | None = None,
    ) -> None:
        """Keep a page; it goes when what it was made from changes.

        That is what ``spans`` names; without them, everything of the partitions in ``tags``.
        The tags of the spans' partitions are added.
        """
        if token is not None and token != self._drops:
            return
        known = self._pages.get(key)
        if known is not None:
            self._remove(known)
        parts = tuple(spans)
        more = [tag for s in parts for tag in (topic_tag(s.log_id[0]), partition_tag(s.log_id))]
        page = Page(key, value, frozenset(tags).union(more), parts, self._now_ns())
        if not self._policy.make_room(page.cost_bytes):
            return
        self._pages.insert(page)
        self._policy.add(page, ("page", key), hot=False)
        for name in page.topics:
            self._counters(name).add(page.cost_bytes)

    # Invalidation

    def drop(
        self, log_id: LogId, from_offset: int | None = None, below_offset: int | None = None
    ) -> None:
        """Forget the offsets from ``from_offset`` and below ``below_offset`` of a log.

        Truncation gives only the first, deletion only the second, compaction both; neither means
        all. A batch that reaches over ``below_offset`` stays readable from there on.
        """
        self._drops += 1
        start = from_offset or 0
        end = sys.maxsize if below_offset is None else below_offset
        log = self._logs.get(log_id)
        if log is not None:
            for run in log.within(start, end):
                self._drop_part(log, run, start, end)
        for page in self._pages.made_from(log_id, start, end):
            self._remove(page)

    def _drop_part(self, log: CachedLog, run: Run, start: int, end: int) -> None:
        try:
            if run.base_offset < start:
                run.cut_back(start)
                if run.size > run.front:
                    return
            elif run.next_offset > end:
                log.cut_front(run, end)
                return
        except CorruptBatch:
            pass
        self._remove(run)

    def drop_tag(self, tag: str) -> int:
        """Forget everything tagged ``topic:NAME`` or ``partition:NAME-N``; how many went."""
        self._drops += 1
        runs = [
            run
            for log_id, log in self._logs.items()
            if tag in (topic_tag(log_id[0]), partition_tag(log_id))
            for run in log
        ]
        entries: list[Run | Page] = [*runs, *self._pages.tagged(tag)]
        for entry in entries:
            self._remove(entry)
        return len(entries)

    def forget_topic(self, topic: str) -> None:
        """Forget a deleted topic, its counters too."""
        self.drop_tag(topic_tag(topic))
        self._topics.pop(topic, None)

    def expire(self) -> None:
        """Drop whatever is older than the time to live."""
        now_ns = self._now_ns()
        runs = [run for log in self._logs.values() for run in log]
        entries: list[Run | Page] = [*runs, *self._pages.all()]
        for entry in entries:
            if self._is_stale(entry, now_ns):
                self._remove(entry)

    def _is_stale(self, entry: Run | Page, now_ns: int) -> bool:
        return self.ttl_ms is not None and now_ns - entry.born_ns > self.ttl_ms * 1_000_000

    def _evicted(self, entry: Run | Page) -> Hashable:
        """Take an entry that the policy gave up out of the tables; its ghost key."""
        self._total.evictions += 1
        self._take_out(entry)
        if isinstance(entry, Page):
            for name in entry.topics:
                self._counters(name).evictions += 1
            return "page", entry.key
        self._counters(entry.log_id[0]).evictions += 1
        return entry.log_id, entry.base_offset

    def _remove(self, entry: Run | Page) -> None:
        self._policy.remove(entry)
        self._take_out(entry)

    def _take_out(self, entry: Run | Page) -> None:
        if isinstance(entry, Page):
            self._pages.remove(entry)
            for name in entry.topics:
                self._counters(name).add(-entry.cost_bytes, -1)
            return
        log = self._logs[entry.log_id]
        log.remove(entry)
        log.counters.add(-entry.cost_bytes, -1)
        if not len(log):
            del self._logs[entry.log_id]
            self._policy.charge(-LOG_BYTES)

    # Counting

    def cached_bytes(self, log_id: LogId, from_offset: int, below_offset: int) -> int:
        """About how many bytes of these offsets are held: those of all runs that touch them."""
        log = self._logs.get(log_id)
        return 0 if log is None else sum(r.size for r in log.within(from_offset, below_offset))

    def stats(self) -> CacheStats:
        """The whole cache; ``bytes`` is everything held, tables included."""
        self._total.bytes = self.used_bytes
        self._total.entries = len(self._policy)
        return self._total.stats()

    def topic_stats(self) -> dict[str, CacheStats]:
        """Each topic that was asked for; a page of several topics counts for each."""
        return {topic: counters.stats() for topic, counters in self._topics.items()}

    def _counters(self, topic: str) -> Counters:
        counters = self._topics.get(topic)
        if counters is None:
            counters = self._topics[topic] = Counters()
        return counters
