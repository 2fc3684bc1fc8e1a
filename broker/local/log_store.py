"""The logs of a data directory: made, opened, closed and removed, with their checkpoints.

Everything that waits for the disk runs in one thread of its own, in order, so that the event
loop never does and two writers of one checkpoint cannot cross.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Container, Iterable
from concurrent.futures import Future
from typing import NamedTuple, TypeVar

from tidelog.broker.catalog.topic_row import TopicRow
from tidelog.broker.environment import Environment
from tidelog.broker.local.disk_news import DiskNews
from tidelog.broker.local.topic_directories import put_right, write_topic
from tidelog.storage.errors import DirectoryUnreadable, DiskFailed, WritesStopped
from tidelog.storage.files import join, reason_of, refused
from tidelog.storage.local import file_names
from tidelog.storage.local.data_directory import DataDirectory
from tidelog.storage.local.file_names import (
    is_set_aside,
    parse_partition_directory_name,
    partition_directory_name,
    set_aside_directory_name,
)
from tidelog.storage.local.log import Log
from tidelog.storage.local.log_state import Cut, LogPlace
from tidelog.storage.local.offline_log import OfflineLog
from tidelog.storage.local.open_segments import OpenSegments
from tidelog.storage.local.recovery import bytes_to_check, create_log, open_log
from tidelog.storage.local.recovery_watch import RecoveryWatch
from tidelog.storage.log_settings import LogSettings

T = TypeVar("T")

_SAVE_DELAY_S = 1.0
_log = logging.getLogger("tidelog.store")


class Retired(NamedTuple):
    """The new paths of a deleted topic's directories, and why others stayed, in words."""

    paths: list[str]
    unfinished: list[str]


class StoppedPartition(NamedTuple):
    """A partition that takes no more writes, and why."""

    topic: str
    partition: int
    reason: str


class LogStore:
    """Owns every log; ``logs`` is keyed by topic and partition."""

    def __init__(self, path: str, node_id: int | None, environment: Environment) -> None:
        """Takes the directory. Raises DirectoryInUse, DirectoryUnreadable, DiskFull."""
        self.directory = DataDirectory(path, environment.disk, node_id, environment.new_id)
        self.logs: dict[tuple[str, int], Log] = {}
        self._environment = environment
        self._opened = OpenSegments()
        self._thread = environment.workers("disk", 1)
        self._looking = environment.workers("look", 1)
        self.news = DiskNews(environment.clock, self._has)
        self._saving: asyncio.TimerHandle | None = None
        self._removals: set[asyncio.Handle] = set()
        self.failure: BaseException | None = None
        """Why the directory could not be written in the background the last time, or None."""

    def _has(self, log: Log) -> bool:
        return self.logs.get((log.place.topic, log.place.partition)) is log

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run blocking work after all that was asked for before.

        Raises DiskFull, TooManyOpenFiles or DiskFailed for what the operating system refuses.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except OSError as error:
            raise refused(error, self.directory.path) from error

    # Opening and making; these block and run in the thread

    def open(
        self, row: TopicRow, partition: int, settings: LogSettings, watch: RecoveryWatch
    ) -> Log:
        """The log of a topic's partition.

        An empty one where its directory is gone: offsets that were reached are not given again.
        Raises DirectoryUnreadable, DiskFull, OSError, Interrupted.
        """
        place = self._place(row.name, partition)
        known = self.directory.last_known(row.name, partition)
        if self.directory.disk.is_directory(place.directory):
            log = open_log(place, settings, known, self._environment.clock.now_ms(), watch)
            cleaned_offset = self.directory.cleaned_offset(row.name, partition)
            log.cleaned_offset = cleaned_offset if cleaned_offset <= log.end_offset else 0
        else:
            offset = known.recovery_point or 0
            log = create_log(place, row.id, settings, offset)
            gone = f"{place.directory} is gone: the log begins anew at offset {offset}"
            watch.unfinished.append(gone)
        put_right(self.directory.disk, place.directory, row, partition)
        self.logs[row.name, partition] = log
        return log

    def open_offline(self, topic: str, partition: int, settings: LogSettings, reason: str) -> Log:
        """What stands for a log that could not be opened."""
        known = self.directory.last_known(topic, partition)
        log = OfflineLog(self._place(topic, partition), settings, known, reason)
        log.cleaned_offset = self.directory.cleaned_offset(topic, partition)
        self.logs[topic, partition] = log
        return log

    def bytes_to_check(self, topic: str, partition: int) -> int:
        """About how many bytes ``open`` will read again. Raises DirectoryUnreadable."""
        place = self._place(topic, partition)
        known = self.directory.last_known(topic, partition)
        if known.clean or not self.directory.disk.is_directory(place.directory):
            return 0
        return bytes_to_check(place, known)

    def create(self, row: TopicRow, first: int, settings: LogSettings) -> list[Log]:
        """New logs for a topic's partitions from ``first`` on, all of them durable, or none.

        A directory in their way, which no topic has, is set aside. What the topic is stands
        beside its first log as soon as every log is there. Raises DiskFull.
        """
        topic = row.name
        places = [self._place(topic, partition) for partition in range(first, row.partitions)]
        disk = self.directory.disk
        for place in places:
            if disk.is_directory(place.directory):
                name = partition_directory_name(topic, place.partition)
                away = self._set_aside(name, topic, place.partition, file_names.STRAY_DIRECTORY)
                _log.warning("a directory in the way of a new log was set aside as %s", away)
        try:
            created = [create_log(place, row.id, settings) for place in places]
            if first == 0:
                self.describe(row)
            disk.sync_directory(self.directory.path)
        except BaseException:
            for place in places:
                with contextlib.suppress(OSError):
                    disk.remove_directory(place.directory)
            raise
        for log in created:
            self.logs[topic, log.place.partition] = log
        return created

    def describe(self, row: TopicRow) -> None:
        """Durably note beside its first log what a topic is. Raises DiskFull, OSError."""
        write_topic(self.directory.disk, self._place(row.name, 0).directory, row)

    def _place(self, topic: str, partition: int) -> LogPlace:
        path = join(self.directory.path, partition_directory_name(topic, partition))
        return LogPlace(self.directory.disk, path, topic, partition, self._opened)

    def tidy(self, known: Container[tuple[str, int]]) -> list[str]:
        """Remove what deletions left. What cannot be removed stays, and so does what no topic has.

        Both are told in words.
        """
        disk, path = self.directory.disk, self.directory.path
        unfinished = []
        for name in disk.names(path):
            partition = parse_partition_directory_name(name)
            if is_set_aside(name, file_names.DELETED_DIRECTORY):
                try:
                    disk.remove_directory(join(path, name))
                except OSError as error:
                    unfinished.append(f"{name} could not be taken away: {reason_of(error)}")
            elif partition and partition not in known and disk.is_directory(join(path, name)):
                unfinished.append(f"{name} is left as it is: no topic has it")
        return unfinished

    def retire(self, topic: str, partitions: Iterable[int]) -> Retired:
        """Take the directories of a deleted topic out of the way."""
        retired = Retired([], [])
        for partition in partitions:
            name = partition_directory_name(topic, partition)
            try:
                if self.directory.disk.is_directory(join(self.directory.path, name)):
                    away = self._set_aside(name, topic, partition, file_names.DELETED_DIRECTORY)
                    retired.paths.append(join(self.directory.path, away))
            except OSError as error:
                retired.unfinished.append(f"{name} could not be taken away: {reason_of(error)}")
        try:
            self.directory.disk.sync_directory(self.directory.path)
        except OSError as error:
            retired.unfinished.append(f"{self.directory.path}: {reason_of(error)}")
        return retired

    def _set_aside(self, name: str, topic: str, partition: int, suffix: str) -> str:
        """Rename a partition's directory; the new name. Raises OSError."""
        away = set_aside_directory_name(topic, partition, self._environment.new_id().hex, suffix)
        path = self.directory.path
        self.directory.disk.rename(join(path, name), join(path, away))
        return away

    # Checkpoints

    def save_soon(self) -> None:
        """Write the recovery points within a second; called whenever a flush moved a log on."""
        if self._saving is None:
            self._saving = asyncio.get_running_loop().call_later(_SAVE_DELAY_S, self._save)

    def _save(self) -> None:
        self._saving = None
        points = self._recovery_points()
        future = self._thread.submit(self.directory.save_recovery_points, points)
        future.add_done_callback(self._note_failure)

    def _note_failure(self, done: Future[None]) -> None:
        error = done.exception()
        self.failure = refused(error, self.directory.path) if isinstance(error, OSError) else error

    async def find_missing(self) -> None:
        """Stop the writing of logs whose directories somebody has taken away.

        Not in the store's own thread, which may have long work to do.
        """
        logs = dict(self.logs)
        path = self.directory.path
        try:
            loop, disk = asyncio.get_running_loop(), self.directory.disk
            names = set(await loop.run_in_executor(self._looking, disk.names, path))
        except DirectoryUnreadable as error:
            if not isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
                return
            names = set()
            self.failure = DiskFailed(path, error.reason)
        for key, log in logs.items():
            if partition_directory_name(*key) in names or self.logs.get(key) is not log:
                continue
            if log.writes_stopped is None:
                log.flush_failed(f"{log.place.directory} is gone")
                self.news.tell(log, WritesStopped(log.writes_stopped or ""))

    def _recovery_points(self) -> dict[tuple[str, int], int]:
        return {key: log.flushed_offset for key, log in self.logs.items()}

    async def save_recovery_points(self) -> None:
        """Write the recovery points now."""
        points = self._recovery_points()
        await self.in_thread(lambda: self.directory.save_recovery_points(points))

    async def save_checkpoints(self) -> None:
        """Write all of them now, so that they hold nothing of logs that were forgotten."""
        await self.save_start_offsets()
        await self.save_recovery_points()
        await self.save_cleaned_offsets()

    def forget(self, topic: str) -> None:
        """Leave a deleted topic's logs out of the checkpoints."""
        for key in [key for key in self.logs if key[0] == topic]:
            del self.logs[key]

    async def save_start_offsets(self) -> None:
        """Make raised start offsets durable, before files below them go."""
        starts = {
            key: log.start_offset
            for key, log in self.logs.items()
            if log.start_offset > log.segments[0].base_offset
        }
        await self.in_thread(lambda: self.directory.save_start_offsets(starts))

    async def save_cleaned_offsets(self) -> None:
        """Write down how far compaction has come."""
        cleaned = {key: log.cleaned_offset for key, log in self.logs.items() if log.cleaned_offset}
        await self.in_thread(lambda: self.directory.save_cleaned_offsets(cleaned))

    # Removing

    def remove_later(self, paths: list[str], delay_ms: int) -> None:
        """Remove files after a delay, so that readers that hold them can finish."""
        if not paths:
            return

        def remove() -> None:
            self._removals.discard(timer)
            for path in paths:
                self._thread.submit(self._remove, path)

        # Without a delay uvloop's timer is a handle that knows no time.
        timer: asyncio.Handle = asyncio.get_running_loop().call_later(delay_ms / 1000, remove)
        self._removals.add(timer)

    def _remove(self, path: str) -> None:
        disk = self.directory.disk
        try:
            if path.endswith(file_names.DELETED_DIRECTORY):
                disk.remove_directory(path)
            else:
                disk.remove(path)
        except OSError as error:
            _log.error("%s could not be removed: %s", path, reason_of(error))

    # Health

    def cuts(self) -> list[Cut]:
        """What recovery took out of logs, and damage not acknowledged yet."""
        return [cut for log in self.logs.values() for cut in log.cuts]

    def stopped(self) -> list[StoppedPartition]:
        """Partitions that take no more writes."""
        return [
            StoppedPartition(topic, partition, log.writes_stopped)
            for (topic, partition), log in self.logs.items()
            if log.writes_stopped is not None
        ]

    # Closing

    def cancel_timers(self) -> None:
        """Nothing is begun any more; what should have been removed goes at the next start."""
        if self._saving is not None:
            self._saving.cancel()
        for timer in self._removals:
            timer.cancel()

    def abandon(self) -> None:
        """Let go of the directory without a mark, after a start that failed; blocks."""
        self._thread.shutdown(wait=True)
        self._looking.shutdown(wait=True)
        self.directory.release()

    def close(self) -> None:
        """Close every log, save the checkpoints, mark the directory clean; blocks.

        The mark is left out if any log could not be closed. Raises the first such error.
        """
        self._thread.shutdown(wait=True)
        self._looking.shutdown(wait=True)
        error: Exception | None = None
        for log in self.logs.values():
            try:
                log.close()
            except OSError as failed:
                error = error or refused(failed, log.place.directory)
            except Exception as failed:
                error = error or failed
        try:
            self.directory.save_recovery_points(self._recovery_points())
            if error is None and not self._stopped():
                ends = {key: log.active.size for key, log in self.logs.items()}
                self.directory.mark_clean(ends)
        except OSError as failed:
            error = error or refused(failed, self.directory.path)
        finally:
            self.directory.release()
        if error is not None:
            raise error

    def _stopped(self) -> bool:
        return any(log.writes_stopped is not None for log in self.logs.values())
