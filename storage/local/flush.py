"""What makes a log durable up to an offset: a value that the event loop hands to a thread."""

from __future__ import annotations

import errno
from typing import NamedTuple

from tidelog.storage.files import Disk, File
from tidelog.storage.local.segment import Segment


class Flush(NamedTuple):
    """What a thread must sync so that everything below ``end_offset`` is durable."""

    files: tuple[File, ...]
    sealed: tuple[Segment, ...]
    directory: str | None
    disk: Disk
    end_offset: int
    rolls: int

    def run(self) -> None:
        """Sync, oldest segment first.

        Raises OSError; unless it is for want of descriptors it must not be tried again then.
        FileNotFoundError where the newest file has no name: somebody has removed it.
        """
        for file in self.files:
            file.sync()
        newest = self.files[-1]
        if newest.is_gone:
            raise FileNotFoundError(errno.ENOENT, "somebody has removed it", newest.path)
        for segment in self.sealed:
            segment.sync_indexes()
        if self.directory is not None:
            self.disk.sync_directory(self.directory)
