"""The one place that reads the time."""

from __future__ import annotations

import time


class Clock:
    """Wall-clock and monotonic milliseconds; tests hand in a clock they move by hand."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """Milliseconds that never go backwards."""
        return time.monotonic_ns() // 1_000_000

    def monotonic_ns(self) -> int:
        """Nanoseconds that never go backwards, for measuring durations."""
        return time.monotonic_ns()
