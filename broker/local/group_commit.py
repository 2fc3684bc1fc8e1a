"""Group commit: one ``fdatasync`` for all who wait for the same log.

While a sync of a log runs in a thread, those who append meanwhile wait for the next one. A log
whose sync failed takes no more writes, and everyone who waited for it is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

from tidelog.broker.clock import Clock
from tidelog.broker.histogram import Histogram
from tidelog.broker.local.disk_news import DiskNews
from tidelog.storage.errors import StorageError, TooManyOpenFiles, WritesStopped
from tidelog.storage.files import refused
from tidelog.storage.local.flush import Flush
from tidelog.storage.local.log import Log

_THREADS = 4


class _Waiting:
    """Who waits for one log: (offset, future), in order of arrival."""

    def __init__(self) -> None:
        self.waiters: list[tuple[int, asyncio.Future[None]]] = []
        self.running = False


class GroupCommit:
    """Flushes logs on demand; ``on_progress`` is called after each sync that moved a log on."""

    def __init__(
        self,
        *,
        fsync: bool,
        on_progress: Callable[[], None],
        workers: Callable[[str, int], Executor],
        clock: Clock | None = None,
        news: DiskNews | None = None,
    ) -> None:
        self._fsync = fsync
        self._now_ns = (clock or Clock()).monotonic_ns
        self._on_progress = on_progress
        self._pool = workers("flush", _THREADS)
        self._news = news or DiskNews(clock or Clock())
        self._logs: dict[Log, _Waiting] = {}
        self.syncs = 0
        """How many syncs have been run, each for any number of waiters."""
        self.times = Histogram()
        """How long each took, until those who waited were told."""

    async def flushed(self, log: Log, next_offset: int) -> None:
        """Return when everything below ``next_offset`` is on stable storage.

        With ``flush.mode=os`` that promise is the operating system's and this returns at once.
        Raises WritesStopped when the disk failed to keep it, TooManyOpenFiles when it may be
        kept but nobody can say so now.
        """
        if log.flushed_offset >= next_offset:
            return
        if log.writes_stopped is not None:
            raise WritesStopped(log.writes_stopped)
        if not self._fsync:
            return
        waiting = self._logs.setdefault(log, _Waiting())
        future = asyncio.get_running_loop().create_future()
        waiting.waiters.append((next_offset, future))
        self._start(log, waiting)
        await future

    def flush_soon(self, log: Log) -> None:
        """Begin to flush a log for which nobody waits, so that recovery stays short."""
        self._start(log, self._logs.setdefault(log, _Waiting()))

    def _start(self, log: Log, waiting: _Waiting) -> None:
        if waiting.running or log.writes_stopped is not None:
            return
        flush = log.begin_flush()
        if flush is None:
            return
        waiting.running = True
        begun_ns = self._now_ns()
        future = asyncio.get_running_loop().run_in_executor(self._pool, flush.run)
        future.add_done_callback(lambda done: self._finish(log, waiting, flush, begun_ns, done))

    def _finish(
        self,
        log: Log,
        waiting: _Waiting,
        flush: Flush,
        begun_ns: int,
        done: asyncio.Future[None],
    ) -> None:
        waiting.running = False
        error = None if done.cancelled() else done.exception()
        if isinstance(error, FileNotFoundError) and not log.is_newest(flush.files[-1]):
            # Retention has sealed and removed it meanwhile.
            error = None
        if error is not None or done.cancelled():
            self._fail(log, waiting, error)
            return
        self.syncs += 1
        self.times.observe(self._now_ns() - begun_ns)
        log.flushed(flush)
        later = []
        for offset, future in waiting.waiters:
            if offset > log.flushed_offset:
                later.append((offset, future))
            elif not future.done():
                future.set_result(None)
        waiting.waiters = later
        if later:
            self._start(log, waiting)
        else:
            self._logs.pop(log, None)
        self._on_progress()

    def _fail(self, log: Log, waiting: _Waiting, error: BaseException | None) -> None:
        """Tell who waits. Descriptors may be there again for the next flush."""
        failure: StorageError | None = None
        if isinstance(error, OSError):
            failure = refused(error, log.place.directory)
        if not isinstance(failure, TooManyOpenFiles):
            reason = f"flushing {log.place.directory} failed: {failure or error or 'cancelled'}"
            log.flush_failed(reason)
            failure = WritesStopped(reason)
        self._news.tell(log, failure)
        for _, future in waiting.waiters:
            if not future.done():
                future.set_exception(failure)
        waiting.waiters.clear()

    def close(self) -> None:
        """Wait for the syncs that run; no others may be asked for after this."""
        self._pool.shutdown(wait=True)
