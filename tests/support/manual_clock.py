"""A clock that a test moves by hand."""

from __future__ import annotations

from tidelog.broker.clock import Clock


class ManualClock(Clock):
    """Wall clock and monotonic clock move together, and only when told to."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._wall_ms = now_ms
        self._monotonic_ms = 1_000_000

    def now_ms(self) -> int:
        return self._wall_ms

    def monotonic_ms(self) -> int:
        return self._monotonic_ms

    def monotonic_ns(self) -> int:
        return self._monotonic_ms * 1_000_000

    def advance(self, ms: int) -> None:
        self._wall_ms += ms
        self._monotonic_ms += ms
