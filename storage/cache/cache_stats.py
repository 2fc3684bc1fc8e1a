"""What a cache counts: plain numbers, per topic and in total."""

from __future__ import annotations

from dataclasses import dataclass

_BUCKETS = 40


@dataclass(frozen=True, slots=True)
class CacheStats:
    """Counts since start, except ``bytes`` and ``entries``, which are now; latencies in ns."""

    hits: int
    misses: int
    hit_bytes: int
    page_hits: int
    page_misses: int
    evictions: int
    bytes: int
    entries: int
    hit_latency_mean_ns: int
    hit_latency_p99_ns: int

    @property
    def hit_rate(self) -> float:
        """Share of reads of the log that were hits; 0 when there was none."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0


class Counters:
    """The numbers while they change."""

    __slots__ = (
        "_latencies",
        "_latency_ns",
        "bytes",
        "entries",
        "evictions",
        "hit_bytes",
        "hits",
        "misses",
        "page_hits",
        "page_misses",
    )

    def __init__(self) -> None:
        self.hits = self.misses = self.hit_bytes = 0
        self.page_hits = self.page_misses = 0
        self.evictions = self.bytes = self.entries = 0
        self._latency_ns = 0
        self._latencies = [0] * _BUCKETS

    def hit(self, size: int, took_ns: int) -> None:
        """Count a read of ``size`` bytes that was answered."""
        self.hits += 1
        self.hit_bytes += size
        self._latency_ns += took_ns
        self._latencies[took_ns.bit_length()] += 1

    def add(self, cost_bytes: int, entries: int = 1) -> None:
        """Count an entry that came, or one that went."""
        self.bytes += cost_bytes
        self.entries += entries

    def stats(self) -> CacheStats:
        """The numbers as they are now."""
        return CacheStats(
            hits=self.hits,
            misses=self.misses,
            hit_bytes=self.hit_bytes,
            page_hits=self.page_hits,
            page_misses=self.page_misses,
            evictions=self.evictions,
            bytes=self.bytes,
            entries=self.entries,
            hit_latency_mean_ns=self._latency_ns // self.hits if self.hits else 0,
            hit_latency_p99_ns=self._latency_below(0.99),
        )

    def _latency_below(self, share: float) -> int:
        """An upper bound, a power of two, of that share of latencies."""
        wanted = share * self.hits
        seen = 0
        for exponent, count in enumerate(self._latencies):
            seen += count
            if count and seen >= wanted:
                return 1 << exponent
        return 0
