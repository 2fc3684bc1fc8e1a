"""What the doors count for ``/metrics``: how long requests take, how they end, who is connected.

Per request that is the time twice, two additions, and one more where it fails. Names of requests
are those of APIs and routes, never what a client has sent: there are only so many of them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Literal

from tidelog.broker.clock import Clock
from tidelog.broker.histogram import Histogram

DoorName = Literal["http", "kafka"]
_LOOP_EVERY_MS = 1_000


class Measured:
    """One kind of request."""

    __slots__ = ("codes", "times")

    def __init__(self) -> None:
        self.times = Histogram()
        """From its head to the beginning of the reply; what waits for records waits here too."""
        self.codes: Counter[int] = Counter()
        """HTTP: every status. Kafka: every error code but none."""


class Measures:
    def __init__(self, clock: Clock | None = None) -> None:
        self.now_ns = (clock or Clock()).monotonic_ns
        self.requests: dict[tuple[DoorName, str], Measured] = {}
        self.connections: dict[DoorName, Callable[[], int]] = {}
        """How many are open now, for each door that is."""
        self.loop_lag = Histogram()

    def of(self, door: DoorName, request: str) -> Measured:
        found = self.requests.get((door, request))
        if found is None:
            found = self.requests[door, request] = Measured()
        return found

    async def watch_loop(self) -> None:
        """Measure for ever how much later than it could the event loop does what is due."""
        while True:
            begun_ns = self.now_ns()
            await asyncio.sleep(_LOOP_EVERY_MS / 1000)
            late_ns = self.now_ns() - begun_ns - _LOOP_EVERY_MS * 1_000_000
            self.loop_lag.observe(max(late_ns, 0))
