"""The cached runs of one log, in order of offset; they never overlap."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from tidelog.storage.cache.cache_stats import Counters
from tidelog.storage.cache.cached_run import LogId, Part, Run

LOG_BYTES = 1024
"""What the tables of one log are charged."""


class CachedLog:
    """A table of runs, searched by bisection."""

    __slots__ = ("_bases", "_runs", "counters", "log_id")

    def __init__(self, log_id: LogId, counters: Counters) -> None:
        self.log_id = log_id
        self.counters = counters
        self._bases: list[int] = []
        self._runs: list[Run] = []

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    @property
    def last(self) -> Run:
        """The run with the highest offsets; there must be one."""
        return self._runs[-1]

    def at(self, offset: int) -> Run | None:
        """The run that answers for ``offset``."""
        place = bisect_right(self._bases, offset) - 1
        if place < 0:
            return None
        run = self._runs[place]
        return run if offset < run.next_offset else None

    def after(self, run: Run) -> Run | None:
        """The run that goes on where ``run`` ends."""
        place = bisect_left(self._bases, run.next_offset)
        if place == len(self._runs) or self._bases[place] != run.next_offset:
            return None
        return self._runs[place]

    def before(self, offset: int) -> Run | None:
        """The run that ends where ``offset`` begins."""
        place = bisect_left(self._bases, offset) - 1
        if place < 0 or self._runs[place].next_offset != offset:
            return None
        return self._runs[place]

    def within(self, from_offset: int, below_offset: int) -> list[Run]:
        """The runs that hold any of these offsets."""
        first = max(bisect_right(self._bases, from_offset) - 1, 0)
        last = bisect_left(self._bases, below_offset)
        return [run for run in self._runs[first:last] if run.next_offset > from_offset]

    def insert(self, run: Run) -> None:
        """Add a run that overlaps none."""
        place = bisect_left(self._bases, run.base_offset)
        self._bases.insert(place, run.base_offset)
        self._runs.insert(place, run)

    def remove(self, run: Run) -> None:
        """Take a run out."""
        place = bisect_left(self._bases, run.base_offset)
        del self._bases[place], self._runs[place]

    def cut_front(self, run: Run, offset: int) -> None:
        """Let a run answer only from ``offset`` on. Raises CorruptBatch."""
        place = bisect_left(self._bases, run.base_offset)
        run.cut_front(offset)
        self._bases[place] = offset

    def gaps(self, part: Part) -> list[Part]:
        """What of ``part`` no run holds. Raises CorruptBatch."""
        known = self.within(part.base_offset, part.next_offset)
        if not known:
            return [part]
        whole = Run(self.log_id, part, 0, 0)
        gaps: list[Part] = []
        base = part.base_offset
        edges = [(run.base_offset, run.next_offset) for run in known]
        for known_base, known_next in (*edges, (part.next_offset, part.next_offset)):
            if base < known_base:
                start, end = whole.position_of(base), whole.position_of(known_base)
                if end > start:
                    gaps.append(Part(base, known_base, whole.view[start:end]))
            base = max(base, known_next)
        return gaps
