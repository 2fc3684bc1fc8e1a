"""A start opens the logs, each for itself: one that cannot be opened is offline and says why.

It runs in the store's thread; ``progress`` and ``interrupt`` are for everybody else.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

from tidelog.broker.catalog.topic_row import TopicRow
from tidelog.broker.errors import InvalidSetting
from tidelog.broker.local.log_store import LogStore
from tidelog.broker.settings.broker_settings import BrokerSettings
from tidelog.broker.settings.topic_settings import TopicSettings
from tidelog.storage.errors import StorageError
from tidelog.storage.files import reason_of
from tidelog.storage.local.log import Log
from tidelog.storage.local.recovery_watch import Interrupted, RecoveryWatch
from tidelog.storage.log_settings import LogSettings

_log = logging.getLogger("tidelog.broker")


class Progress(NamedTuple):
    """How many logs of how many are open, and how much has been read of what must be.

    ``total_bytes`` is 0 until it is known, and after a clean stop.
    """

    opened: int
    total: int
    read_bytes: int
    total_bytes: int


class OpenedTopic(NamedTuple):
    """A topic of the catalog with a log for each partition."""

    row: TopicRow
    settings: TopicSettings
    logs: list[Log]


class Opening:
    """Of one start; ``findings`` and ``unfinished`` say what it mended and what it left."""

    def __init__(self, store: LogStore) -> None:
        self.findings: list[str] = []
        self._store = store
        self._watch = RecoveryWatch()
        self._opened = 0
        self._total = 0

    @property
    def unfinished(self) -> list[str]:
        """What could not be done, in words."""
        return self._watch.unfinished

    @property
    def progress(self) -> Progress:
        watch = self._watch
        return Progress(self._opened, self._total, watch.read_bytes, watch.total_bytes)

    def interrupt(self) -> None:
        """Let ``run`` stop as soon as it can."""
        self._watch.interrupted = True

    def run(self, rows: Sequence[TopicRow], broker: BrokerSettings) -> list[OpenedTopic]:
        """Tidy the directory, then open every log. Raises DirectoryUnreadable, Interrupted.

        InvalidSetting where the broker's own settings contradict each other.
        """
        known = {(row.name, partition) for row in rows for partition in range(row.partitions)}
        self._total = len(known)
        self.unfinished.extend(self._store.tidy(known))
        bytes_to_check = [
            [self._bytes_to_check(row, partition) for partition in range(row.partitions)]
            for row in rows
        ]
        self._watch.total_bytes = sum(map(sum, bytes_to_check))
        opened, done_bytes = [], 0
        for row, sizes in zip(rows, bytes_to_check, strict=True):
            settings = self._usable_settings(row, broker)
            logs = []
            for partition, size in enumerate(sizes):
                logs.append(self._open(row, partition, settings.log_settings()))
                done_bytes += size
                self._watch.settle(done_bytes)
                self._opened += 1
            opened.append(OpenedTopic(row, settings, logs))
        return opened

    def _bytes_to_check(self, row: TopicRow, partition: int) -> int:
        self._watch.check()
        try:
            return self._store.bytes_to_check(row.name, partition)
        except (StorageError, OSError):
            # Opening it will tell.
            return 0

    def _usable_settings(self, row: TopicRow, broker: BrokerSettings) -> TopicSettings:
        """A topic's settings without those of its own that are not acceptable, which are told."""
        overrides = dict(row.settings)
        while True:
            try:
                return TopicSettings(overrides, broker)
            except InvalidSetting as error:
                if not overrides:
                    raise
                self.unfinished.append(f"topic {row.name} does without a setting: {error}")
                if overrides.pop(error.name, None) is None:
                    overrides.clear()

    def _open(self, row: TopicRow, partition: int, settings: LogSettings) -> Log:
        try:
            return self._store.open(row, partition, settings, self._watch)
        except Interrupted:
            raise
        except OSError as error:
            reason = f"{error.filename}: {reason_of(error)}" if error.filename else str(error)
        except StorageError as error:
            reason = str(error)
        except Exception as error:
            # Bytes that nobody foresaw: they keep one partition from being served, not all.
            _log.exception("%s-%d cannot be opened", row.name, partition)
            reason = f"{type(error).__name__}: {error}"
        _log.error("%s-%d is offline: %s", row.name, partition, reason)
        return self._store.open_offline(row.name, partition, settings, reason)
