"""How far recovery has come, and the wish that it stop: shared by the thread that reads the logs
and whoever asks meanwhile.

Bytes are those of batches that must be read and checked again.
"""

from __future__ import annotations

from typing import Protocol


class Interrupted(Exception):
    """Recovery was told to stop; the directory is left as a crash would leave it."""

    def __init__(self) -> None:
        super().__init__("the start was interrupted")


class GrowingSegment(Protocol):
    """A segment whose ``size`` follows what was checked."""

    @property
    def size(self) -> int:
        """Bytes that are known to be sound."""


class RecoveryWatch:
    """Of one start. Only ``interrupted`` is written by others than the thread that recovers."""

    def __init__(self) -> None:
        self.interrupted = False
        self.total_bytes = 0
        self.unfinished: list[str] = []
        """What could not be done and does no harm, in words."""
        self._read_bytes = 0
        self._segment: GrowingSegment | None = None

    @property
    def read_bytes(self) -> int:
        """How many of ``total_bytes`` have been read."""
        segment, read = self._segment, self._read_bytes
        growing = 0 if segment is None else segment.size
        return min(read + growing, self.total_bytes)

    def begin(self, segment: GrowingSegment) -> None:
        """A segment is read again."""
        self._segment = segment

    def end(self, size: int) -> None:
        """A segment of ``size`` bytes has been read."""
        self._segment = None
        self._read_bytes += size

    def settle(self, read_bytes: int) -> None:
        """So much is done with, whether all of it was read or not."""
        self._segment = None
        self._read_bytes = read_bytes

    def check(self) -> None:
        """Raises Interrupted once that is wished for."""
        if self.interrupted:
            raise Interrupted
