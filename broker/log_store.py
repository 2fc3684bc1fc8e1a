"""The logs of a data directory: made, opened, closed and removed, with their checkpoints.

Everything that waits for the disk runs in one thread of its own, in order, so that the event
loop never does and two writers of one checkpoint cannot cross.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from tidelog.broker.clock import Clock
from tidelog.storage import file_names
from tidelog.storage.data_directory import DataDirectory
from tidelog.storage.file_names import parse_partition_directory_name, partition_directory_name
from tidelog.storage.files import Disk, join
from tidelog.storage.log import Log, LogPlace
from tidelog.storage.log_settings import LogSettings
from tidelog.storage.open_segments import OpenSegments
from tidelog.storage.recovery import create_log, open_log

T = TypeVar("T")

_SAVE_DELAY_S = 1.0
_STRAY = "-stray"


class LogStore:
    """Owns every log; ``logs`` is keyed by topic and partition."""

    def __init__(self, path: str, disk: Disk, node_id: int | None, clock: Clock) -> None:
        """Takes the directory. Raises DirectoryInUse, DirectoryUnreadable, DiskFull."""
        self.directory = DataDirectory(path, disk, node_id)
        self.logs: dict[tuple[str, int], Log] = {}
        self._clock = clock
        self._opened = OpenSegments()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="disk")
        self._saving: asyncio.TimerHandle | None = None
        self._removals: list[asyncio.TimerHandle] = []
        self._failure: BaseException | None = None

    @property
    def failure(self) -> BaseException | None:
        """Why a checkpoint could not be written in the background, if so."""
        return self._failure

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run blocking work after all that was asked for before."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # Opening and making; these block and run in the thread

    def open(self, topic: str, partition: int, topic_id: uuid.UUID, settings: LogSettings) -> Log:
        """The log of a partition that the catalog knows; an empty one if its directory is gone."""
        place = self._place(topic, partition)
        if self.directory.disk.is_directory(place.directory):
            known = self.directory.last_known(topic, partition)
            log = open_log(place, settings, known, self._clock.now_ms())
            cleaned_offset = self.directory.cleaned_offset(topic, partition)
            log.cleaned_offset = cleaned_offset if cleaned_offset <= log.end_offset else 0
        else:
            log = create_log(place, topic_id, settings)
        self.logs[topic, partition] = log
        return log

    def create(
        self, topic: str, partitions: Iterable[int], topic_id: uuid.UUID, settings: LogSettings
    ) -> list[Log]:
        """New logs, all of them durable, or none. Raises DiskFull."""
        places = [self._place(topic, partition) for partition in partitions]
        disk = self.directory.disk
        try:
            created = [create_log(place, topic_id, settings) for place in places]
            disk.sync_directory(self.directory.path)
        except BaseException:
            for place in places:
                disk.remove_directory(place.directory)
            raise
        for log in created:
            self.logs[topic, log.place.partition] = log
        return created

    def _place(self, topic: str, partition: int) -> LogPlace:
        path = join(self.directory.path, partition_directory_name(topic, partition))
        return LogPlace(self.directory.disk, path, topic, partition, self._opened)

    def tidy(self, known: set[tuple[str, int]]) -> list[str]:
        """Finish interrupted deletions and set aside directories that no topic has.

        An interrupted creation leaves such a directory, and so does somebody else's; it is
        renamed, not removed. Returns the new names.
        """
        disk, path = self.directory.disk, self.directory.path
        strays = []
        for name in disk.names(path):
            if name.endswith(file_names.DELETED_DIRECTORY):
                disk.remove_directory(join(path, name))
                continue
            partition = parse_partition_directory_name(name)
            if partition and partition not in known and disk.is_directory(join(path, name)):
                stray = f"{name}.{uuid.uuid4().hex}{_STRAY}"
                disk.rename(join(path, name), join(path, stray))
                strays.append(stray)
        return strays

    def retire(self, topic: str, partitions: Iterable[int]) -> list[str]:
        """Take the directories of a deleted topic out of the way; their new paths."""
        disk, paths = self.directory.disk, []
        for partition in partitions:
            path = self._place(topic, partition).directory
            if disk.is_directory(path):
                away = f"{path}.{uuid.uuid4().hex}{file_names.DELETED_DIRECTORY}"
                disk.rename(path, away)
                paths.append(away)
        disk.sync_directory(self.directory.path)
        return paths

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
        self._failure = done.exception()

    def _recovery_points(self) -> dict[tuple[str, int], int]:
        return {key: log.flushed_offset for key, log in self.logs.items()}

    async def save_recovery_points(self) -> None:
        """Write the recovery points now."""
        points = self._recovery_points()
        await self.in_thread(lambda: self.directory.save_recovery_points(points))

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
        if paths:
            loop = asyncio.get_running_loop()
            self._removals.append(loop.call_later(delay_ms / 1000, self._remove, paths))

    def _remove(self, paths: list[str]) -> None:
        now = asyncio.get_running_loop().time()
        self._removals = [timer for timer in self._removals if timer.when() > now]
        disk = self.directory.disk
        for path in paths:
            directory = path.endswith(file_names.DELETED_DIRECTORY)
            self._thread.submit(disk.remove_directory if directory else disk.remove, path)

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
        self.directory.release()

    def close(self) -> None:
        """Close every log, save the checkpoints, mark the directory clean; blocks.

        The mark is left out if any log could not be closed. Raises the first such error.
        """
        self._thread.shutdown(wait=True)
        error: Exception | None = None
        for log in self.logs.values():
            try:
                log.close()
            except Exception as failed:
                error = error or failed
        try:
            self.directory.save_recovery_points(self._recovery_points())
            if error is None and not self._stopped():
                self.directory.mark_clean()
        finally:
            self.directory.release()
        if error is not None:
            raise error

    def _stopped(self) -> bool:
        return any(log.writes_stopped is not None for log in self.logs.values())
