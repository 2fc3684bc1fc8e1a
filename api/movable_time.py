"""Time that tests move: a clock, and an event loop whose timers go by it.

``tidelog serve --clock-ahead MS`` runs so many milliseconds ahead of the machine. From then on a
line ``{"ahead_ms": MS}`` on standard input moves the clock, to any time; it is answered on standard
output by ``{"event": "clock", "now_ms": ...}`` once what became due is done. Whoever waits for
time to pass (members of groups, deletions, long polls, idle connections) waits by the same clock;
what waits never sees it go back.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import json
import logging
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVarTuple

import uvloop

from tidelog.broker.clock import Clock

_EARLY_S = 0.001
"""The event loop's own timers are as exact as this."""
Arguments = TypeVarTuple("Arguments")
_log = logging.getLogger("tidelog.broker")


class MovableClock(Clock):
    """The machine's clock, and how far ahead of it we are."""

    def __init__(self, ahead_ms: int) -> None:
        self.ahead_ms = ahead_ms
        self._passed_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms

    def monotonic_ms(self) -> int:
        return super().monotonic_ms() + self._passed_ms

    def monotonic_ns(self) -> int:
        return super().monotonic_ns() + self._passed_ms * 1_000_000

    def move(self, ahead_ms: int) -> int:
        """Be so far ahead; how much time has passed by that (ms)."""
        passed_ms = max(ahead_ms - self.ahead_ms, 0)
        self.ahead_ms = ahead_ms
        self._passed_ms += passed_ms
        return passed_ms


class MovableLoop(uvloop.Loop):
    """An event loop in which time can pass at once: ``pass_time`` makes its timers due."""

    def __init__(self) -> None:
        super().__init__()
        self._passed_s = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = itertools.count()
        self._alarm: asyncio.Handle | None = None
        self._alarm_at = float("inf")

    def time(self) -> float:
        return super().time() + self._passed_s

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), timer))
        self._set_alarm()
        return timer

    def pass_time(self, seconds: float) -> None:
        """What becomes due by that is called in the next round of the loop."""
        self._passed_s += seconds
        self._ring()

    def _set_alarm(self) -> None:
        if not self._timers or self._timers[0][0] >= self._alarm_at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = self._timers[0][0]
        delay = max(self._alarm_at - self.time(), 0)
        self._alarm = super().call_later(delay, self._ring)

    def _ring(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._alarm_at = None, float("inf")
        now = self.time() + _EARLY_S
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if not timer.cancelled():
                self.call_soon(timer._run)  # a callback of the loop, which no class of it gives out
        self._set_alarm()

    def _timer_handle_cancelled(self, timer: asyncio.TimerHandle) -> None:
        """Asked for by the handle; it is dropped when its time comes."""


class MovableTime:
    """The clock and the loop of one process, moved together by lines of standard input."""

    def __init__(self, ahead_ms: int) -> None:
        self.clock = MovableClock(ahead_ms)
        self.loop = MovableLoop()
        self._unfinished = b""
        self._lines: asyncio.Queue[bytes] = asyncio.Queue()
        self._following: asyncio.Task[NoReturn] | None = None

    def heard(self, data: bytes) -> None:
        """Standard input goes on with this."""
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        for line in lines:
            self._lines.put_nowait(line)

    def follow(self, caught_up: Callable[[], Awaitable[None]], tell: Callable[[str], None]) -> None:
        """From now on do what the lines say, and tell it when ``caught_up`` is over."""
        self._following = self.loop.create_task(self._follow(caught_up, tell))

    async def _follow(
        self, caught_up: Callable[[], Awaitable[None]], tell: Callable[[str], None]
    ) -> NoReturn:
        while True:
            line = await self._lines.get()
            try:
                self._move(int(json.loads(line)["ahead_ms"]))
            except (ValueError, TypeError, KeyError):
                _log.error('standard input: %r is not {"ahead_ms": NUMBER}', line)
                continue
            await asyncio.sleep(0)  # the loop calls what is due before it comes back to us
            await caught_up()
            tell(json.dumps({"event": "clock", "now_ms": self.clock.now_ms()}))

    def _move(self, ahead_ms: int) -> None:
        self.loop.pass_time(self.clock.move(ahead_ms) / 1000)
