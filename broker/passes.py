"""Work that is done again and again, and how to wait for what is due of it."""

from __future__ import annotations

import asyncio
import math

from tidelog.broker.clock import Clock


class Passes:
    """One ``until_next`` before each pass; until the first there is nothing to wait for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due_ms = math.inf
        self._over = asyncio.Event()

    async def until_next(self, interval_ms: float) -> None:
        """The last pass is over; return when it is time for the next."""
        self._due_ms = self._clock.monotonic_ms() + interval_ms
        self._over.set()
        self._over = asyncio.Event()
        await asyncio.sleep(interval_ms / 1000)

    async def caught_up(self) -> None:
        """Wait for the end of a pass that is due or under way."""
        if self._clock.monotonic_ms() >= self._due_ms:
            await self._over.wait()
