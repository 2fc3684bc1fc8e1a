"""How long something takes, counted in buckets: two additions each time, whoever asks for it later.

The buckets reach from a tenth of a millisecond, what a request from the cache takes, to ten
seconds, in steps that tell a disk from memory.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate

_STEPS_MS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000)
_BOUNDS_NS = tuple(round(step * 1_000_000) for step in _STEPS_MS)


class Histogram:
    """Of durations in nanoseconds."""

    __slots__ = ("_counts", "sum_ns")

    def __init__(self) -> None:
        self._counts = [0] * (len(_BOUNDS_NS) + 1)
        self.sum_ns = 0

    def observe(self, duration_ns: int) -> None:
        self._counts[bisect_left(_BOUNDS_NS, duration_ns)] += 1
        self.sum_ns += duration_ns

    @property
    def count(self) -> int:
        return sum(self._counts)

    def buckets(self) -> list[tuple[float, int]]:
        """Each bound in seconds, and how many took at most so long; the last bound is infinite."""
        bounds = (*(bound / 1e9 for bound in _BOUNDS_NS), float("inf"))
        return list(zip(bounds, accumulate(self._counts), strict=True))
