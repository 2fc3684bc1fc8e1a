"""What the log tells of a disk that refuses: each partition that takes no more writes once, a full
disk and missing file descriptors once a minute, however many requests meet them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from weakref import WeakSet

from tidelog.broker.clock import Clock
from tidelog.storage.errors import DiskFull, StorageError, TooManyOpenFiles, WritesStopped
from tidelog.storage.local.log import Log

_MINUTE_MS = 60_000
_log = logging.getLogger("tidelog.store")


class DiskNews:
    """Of one data directory. Logs that it has no longer, as of a deleted topic, are no news."""

    def __init__(self, clock: Clock, has: Callable[[Log], bool] = lambda log: True) -> None:
        self._clock = clock
        self._has = has
        self._stopped: WeakSet[Log] = WeakSet()
        self._quiet_until_ms: dict[type[StorageError], int] = {}

    def tell(self, log: Log, error: Exception) -> None:
        """An append or a flush of the log has failed; what is no fault of the disk is no news."""
        if isinstance(error, WritesStopped):
            if log not in self._stopped and self._has(log):
                self._stopped.add(log)
                place = log.place.topic, log.place.partition
                _log.error("%s-%d takes no more writes: %s", *place, log.writes_stopped)
            return
        for kind in (DiskFull, TooManyOpenFiles):
            now_ms = self._clock.monotonic_ms()
            if isinstance(error, kind) and now_ms >= self._quiet_until_ms.get(kind, now_ms):
                self._quiet_until_ms[kind] = now_ms + _MINUTE_MS
                _log.error("writes are refused: %s", error)
