"""A world for one broker in which nothing happens but by its seed: time, threads, disk, ids.

``run`` gives a coroutine an event loop whose time jumps to the next thing that is due. Work for
threads is done in the loop, a random moment later and in random order where several threads would
share it. The disk is one that loses what was not synced; the catalog's bytes lie on it too.
"""

from __future__ import annotations

import asyncio
import random
import selectors
import sqlite3
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, TypeVar

from tests.support.faulty_disk import FaultyDisk
from tests.support.manual_clock import ManualClock
from tidelog.broker.catalog.catalog_database import Sqlite
from tidelog.broker.environment import Environment
from tidelog.broker.local.compaction_process import CompactionFailed
from tidelog.storage.compaction.cleaner import Cleaner, CleaningJob
from tidelog.storage.errors import CorruptBatch, StorageError
from tidelog.storage.files import DirectoryLock, Disk
from tidelog.storage.local.cleaned_segment import Cleaned

T = TypeVar("T")
_SLOWEST_MS = 20


class World:
    """Hand ``environment`` to a broker within ``run``."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.clock = ManualClock()
        self.disk: FaultyDisk = _OwnDisk(directory)
        self._pools: list[_Workers] = []

    @property
    def environment(self) -> Environment:
        """For one broker; after ``cut_power`` there is another."""
        return Environment(
            clock=self.clock,
            disk=self.disk,
            workers=self._workers,
            new_id=self._new_id,
            database=_DatabaseOnDisk(self.disk),
            compactor=lambda rate: _Compactor(self.disk),
        )

    def run(self, scenario: Coroutine[Any, Any, T]) -> T:
        """The result of a scenario. Raises NothingHappens where it waits for ever."""
        with asyncio.Runner(loop_factory=lambda: _Loop(self.clock)) as runner:
            return runner.run(scenario)

    def cut_power(self) -> None:
        """What is running never ends; what was not synced may be gone."""
        for pool in self._pools:
            pool.stop()
        self._pools.clear()
        self.disk = self.disk.crash(self.random)

    def _workers(self, name: str, count: int) -> Executor:
        self._pools.append(_Workers(count, self.random))
        return self._pools[-1]

    def _new_id(self) -> uuid.UUID:
        return uuid.UUID(int=self.random.getrandbits(128), version=4)


class NothingHappens(Exception):
    """Everybody waits, and nothing is due."""


class _Selector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    """Waits by moving the clock."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(0)
        if not events and timeout is None:
            raise NothingHappens
        if not events and timeout is not None and timeout > 0:
            self._clock.advance(max(round(timeout * 1000), 1))
        return events


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: ManualClock) -> None:
        super().__init__(_Selector(clock))
        self._clock = clock

    def time(self) -> float:
        return self._clock.monotonic_ms() / 1000


class _Workers(Executor):
    """Up to ``count`` jobs are under way; each takes its time."""

    def __init__(self, count: int, source: random.Random) -> None:
        self._idle = count
        self._random = source
        self._waiting: list[Callable[[], None]] = []
        self._stopped = False

    def submit(self, work: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()

        def do() -> None:
            try:
                future.set_result(work(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        self._waiting.append(do)
        self._begin()
        return future

    def _begin(self) -> None:
        while self._idle and self._waiting and not self._stopped:
            self._idle -= 1
            delay_s = self._random.randrange(_SLOWEST_MS) / 1000
            asyncio.get_running_loop().call_later(delay_s, self._do, self._waiting.pop(0))

    def _do(self, work: Callable[[], None]) -> None:
        if self._stopped:
            return
        work()
        self._idle += 1
        self._begin()

    def stop(self) -> None:
        self._stopped = True

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Whoever shuts a pool down waited for what it asked for, or does not want it."""


class _DatabaseOnDisk(Sqlite):
    """In memory; what is folded is on the disk."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def connect(self, path: str) -> sqlite3.Connection:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        if self._disk.exists(path) and (content := self._disk.read_bytes(path)):
            connection.deserialize(content)
        return connection

    def fold(self, path: str, connection: sqlite3.Connection) -> None:
        self._disk.write_atomically(path, connection.serialize())


class _OwnDisk(FaultyDisk):
    """Nobody else is there to keep out, and who held it before is gone with the power."""

    def lock(self, path: str) -> DirectoryLock:
        return _Lock()


class _Lock(DirectoryLock):
    def __init__(self) -> None:
        """Takes nothing."""

    def release(self) -> None:
        """Had nothing."""


class _Compactor:
    """Compacts in the loop, a segment at a time."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    async def __aenter__(self) -> _Compactor:
        return self

    async def __aexit__(self, *error: object) -> None:
        """There is no process to end."""

    async def end(self) -> None:
        """Nothing goes on between two segments."""

    async def clean(self, job: CleaningJob) -> AsyncIterator[Cleaned | int]:
        cleaner = Cleaner(job, self._disk, lambda size: None)
        try:
            for cleaned in cleaner.clean():
                await asyncio.sleep(0.005)
                yield cleaned
        except (StorageError, OSError) as error:
            raise CompactionFailed(str(error), damaged=isinstance(error, CorruptBatch)) from error
        yield cleaner.cleaned_offset
