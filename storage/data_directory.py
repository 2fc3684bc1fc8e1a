"""The data directory as a whole: who holds it, whether it was left clean, its checkpoints.

``meta.properties`` and the clean-shutdown marker are Apache Kafka's (``MetaProperties.java``,
``CleanShutdownFileHandler.java``). The marker is removed before anything is changed and
written last when the directory is closed, so that its presence proves a clean stop.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping

from tidelog.storage import file_names
from tidelog.storage.checkpoints import decode_checkpoint, encode_checkpoint
from tidelog.storage.errors import DirectoryUnreadable
from tidelog.storage.files import DirectoryLock, Disk, Space, join, refused
from tidelog.storage.recovery import LastKnown

_VERSION = "1"
_FIRST_NODE = 1
Offsets = Mapping[tuple[str, int], int]


class DataDirectory:
    """Holds the directory for this process from construction until ``release``."""

    def __init__(self, path: str, disk: Disk, node_id: int | None) -> None:
        """``node_id`` None stands for the one it has, or 1.

        Raises DirectoryInUse, DirectoryUnreadable, DiskFailed, DiskFull.
        """
        self.path = path
        self.disk = disk
        disk.make_directory(path, parents=True)
        self._lock = DirectoryLock(join(path, file_names.LOCK))
        try:
            self.cluster_id, self.node_id = self._read_or_write_meta(node_id)
            self._known_points = self._read_checkpoint(file_names.RECOVERY_POINTS)
            self._known_starts = self._read_checkpoint(file_names.START_OFFSETS)
            self._known_cleaned = self._read_checkpoint(file_names.CLEANER_OFFSETS)
            self.was_clean = disk.exists(join(path, file_names.CLEAN_SHUTDOWN))
        except OSError as error:
            self._lock.release()
            raise refused(error, path) from error
        except BaseException:
            self._lock.release()
            raise

    def _read_or_write_meta(self, node_id: int | None) -> tuple[str, int]:
        path = join(self.path, file_names.META_PROPERTIES)
        if self.disk.exists(path):
            lines = self.disk.read_bytes(path).decode(errors="replace").splitlines()
            pairs = dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#")
            cluster_id, kept = pairs.get("cluster.id"), pairs.get("node.id", "")
            if pairs.get("version") != _VERSION or not cluster_id or not kept.isdecimal():
                reason = "meta.properties is not one of version 1 with a cluster.id and a node.id"
                raise DirectoryUnreadable(self.path, reason)
            if node_id not in (None, int(kept)):
                reason = f"it belongs to node.id={kept}, not to {node_id}"
                raise DirectoryUnreadable(self.path, reason)
            return cluster_id, int(kept)
        cluster_id, node_id = new_id(), _FIRST_NODE if node_id is None else node_id
        text = (
            f"version={_VERSION}\ncluster.id={cluster_id}\n"
            f"node.id={node_id}\ndirectory.id={new_id()}\n"
        )
        self.disk.write_atomically(path, text.encode())
        return cluster_id, node_id

    def _read_checkpoint(self, name: str) -> dict[tuple[str, int], int]:
        path = join(self.path, name)
        if not self.disk.exists(path):
            return {}
        try:
            return decode_checkpoint(self.disk.read_bytes(path))
        except ValueError as error:
            raise DirectoryUnreadable(self.path, f"{name}: {error}") from error

    def begin(self) -> None:
        """Before anything is changed: from here on it is not clean. Raises OSError."""
        if self.was_clean:
            self.disk.remove(join(self.path, file_names.CLEAN_SHUTDOWN))
            self.disk.sync_directory(self.path)

    def last_known(self, topic: str, partition: int) -> LastKnown:
        """What the checkpoints say of one log."""
        key = topic, partition
        return LastKnown(self._known_points.get(key), self._known_starts.get(key), self.was_clean)

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

    def mark_clean(self) -> None:
        """Say that every log was closed in order; the last thing written."""
        path = join(self.path, file_names.CLEAN_SHUTDOWN)
        self.disk.write_atomically(path, b'{"version":0,"brokerEpoch":-1}')

    def release(self) -> None:
        """Let another process have the directory."""
        self._lock.release()


def new_id() -> str:
    """A random id in Kafka's form: 22 characters of URL-safe base64."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
