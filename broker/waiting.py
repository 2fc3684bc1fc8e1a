"""Waiting for data: a fetch that found too little is woken by the append that satisfies it.

One waiter may watch many partitions. Watch first and read after, so that no append falls
between.
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class Watched(Protocol):
    """What can be watched: it calls ``data_arrived`` on append and ``wake`` when it goes."""

    def add_waiter(self, waiter: DataWaiter) -> None: ...

    def remove_waiter(self, waiter: DataWaiter) -> None: ...


class DataWaiter:
    """Waits until the watched partitions together got ``min_bytes`` or one of them went away."""

    def __init__(self, min_bytes: int = 1) -> None:
        self._missing = min_bytes
        self._watched: list[Watched] = []
        self._future: asyncio.Future[None] | None = None
        self._woken = False

    def watch(self, partition: Watched) -> None:
        """Count what is appended to ``partition`` from now on."""
        self._watched.append(partition)
        partition.add_waiter(self)

    def data_arrived(self, size: int) -> None:
        """Called by a partition after an append of ``size`` bytes."""
        self._missing -= size
        if self._missing <= 0:
            self.wake()

    def wake(self) -> None:
        """End the wait whatever has arrived."""
        self._woken = True
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def wait(self, timeout_ms: float) -> bool:
        """True as soon as it is woken, False after ``timeout_ms``."""
        if self._woken or timeout_ms <= 0:
            return self._woken
        loop = asyncio.get_running_loop()
        self._future = loop.create_future()
        timer = loop.call_later(timeout_ms / 1000, self._expire)
        try:
            await self._future
        finally:
            timer.cancel()
        return self._woken

    def _expire(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def rearm(self, min_bytes: int = 1) -> None:
        """Wait for another ``min_bytes`` from now on, watching the same partitions."""
        self._missing = min_bytes
        self._woken = False
        self._future = None

    def close(self) -> None:
        """Stop watching."""
        for partition in self._watched:
            partition.remove_waiter(self)
        self._watched.clear()

    def __enter__(self) -> DataWaiter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
