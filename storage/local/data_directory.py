"""The data directory as a whole: who holds it, whether it was left clean, its checkpoints.

The clean-shutdown marker is Apache Kafka's (``CleanShutdownFileHandler.java``). It is removed
before anything is changed and written last when the directory is closed, so that its presence
proves a clean stop. A checkpoint that is damaged is passed over, and told of in ``findings``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from uuid import UUID, uuid4

from tidelog.storage.files import Disk, Space, join, refused
from tidelog.storage.local import file_names
from tidelog.storage.local.checkpoints import decode_checkpoint, encode_checkpoint
from tidelog.storage.local.identity import identify
from tidelog.storage.local.recovery import LastKnown

Offsets = Mapping[tuple[str, int], int]

_WITHOUT = {
    file_names.RECOVERY_POINTS: "every log is read again",
    file_names.END_POSITIONS: "logs are taken to end where their files end",
    file_names.START_OFFSETS: "deleted records that are still there are shown again",
    file_names.CLEANER_OFFSETS: "compacted logs are compacted from their start",
}
"""What becomes of a directory without one of its checkpoints."""


class DataDirectory:
    """Holds the directory for this process from construction until ``release``."""

    def __init__(
        self, path: str, disk: Disk, node_id: int | None, new_id: Callable[[], UUID] = uuid4
    ) -> None:
        """``node_id`` None stands for the one it has, or 1.

        Raises DirectoryInUse, DirectoryUnreadable, DiskFailed, DiskFull.
        """
        self.path = path
        self.disk = disk
        disk.make_directory(path, parents=True)
        self._lock = disk.lock(join(path, file_names.LOCK))
        try:
            self.cluster_id, self.node_id, self.findings = identify(disk, path, node_id, new_id)
            self._known_points = self._read_checkpoint(file_names.RECOVERY_POINTS)
            self._known_ends = self._read_checkpoint(file_names.END_POSITIONS)
            self._known_starts = self._read_checkpoint(file_names.START_OFFSETS)
            self._known_cleaned = self._read_checkpoint(file_names.CLEANER_OFFSETS)
            self.was_clean = disk.exists(join(path, file_names.CLEAN_SHUTDOWN))
        except OSError as error:
            self._lock.release()
            raise refused(error, path) from error
        except BaseException:
            self._lock.release()
            raise

    def _read_checkpoint(self, name: str) -> dict[tuple[str, int], int]:
        path = join(self.path, name)
        if not self.disk.exists(path):
            return {}
        data = self.disk.read_bytes(path)
        if not data and name == file_names.CLEANER_OFFSETS:
            # As Apache Kafka leaves it until something was compacted.
            return {}
        try:
            return decode_checkpoint(data)
        except ValueError as error:
            self.findings.append(f"{path} is damaged ({error}): {_WITHOUT[name]}")
            return {}

    def begin(self) -> None:
        """Before anything is changed: from here on it is not clean. Raises OSError."""
        if self.was_clean:
            self.disk.remove(join(self.path, file_names.CLEAN_SHUTDOWN))
            self.disk.sync_directory(self.path)

    def last_known(self, topic: str, partition: int) -> LastKnown:
        """What the checkpoints say of one log."""
        key = topic, partition
        points, starts, ends = self._known_points, self._known_starts, self._known_ends
        return LastKnown(points.get(key), starts.get(key), self.was_clean, ends.get(key))

    def save_recovery_points(self, offsets: Offsets) -> None:
        """Replace the checkpoint of offsets below which everything is flushed."""
        path = join(self.path, file_names.RECOVERY_POINTS)
        self.disk.write_atomically(path, encode_checkpoint(offsets))

    def save_start_offsets(self, offsets: Offsets) -> None:
        """Replace the checkpoint of start offsets that lie above their first segment's base."""
        path = join(self.path, file_names.START_OFFSETS)
        self.disk.write_atomically(path, encode_checkpoint(offsets))

    def cleaned_offset(self, topic: str, partition: int) -> int:
        """Below it the checkpoint calls a compacted log clean."""
        return self._known_cleaned.get((topic, partition), 0)

    def save_cleaned_offsets(self, offsets: Offsets) -> None:
        """Replace the checkpoint of offsets below which compacted logs are clean."""
        path = join(self.path, file_names.CLEANER_OFFSETS)
        self.disk.write_atomically(path, encode_checkpoint(offsets))

    def space(self) -> Space:
        """Of the file system that holds the directory."""
        return self.disk.space(self.path)

    def mark_clean(self, ends: Offsets) -> None:
        """Say that every log was closed in order, and where its last file ends, in bytes.

        The last thing written.
        """
        path = join(self.path, file_names.END_POSITIONS)
        self.disk.write_atomically(path, encode_checkpoint(ends))
        path = join(self.path, file_names.CLEAN_SHUTDOWN)
        self.disk.write_atomically(path, b'{"version":0,"brokerEpoch":-1}')

    def release(self) -> None:
        """Let another process have the directory."""
        self._lock.release()
