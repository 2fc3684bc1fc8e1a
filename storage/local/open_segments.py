"""Bounds how many sealed segments hold files open at once: least recently used go first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Protocol


class ClosableSegment(Protocol):
    """A segment that opens its files again when it needs them."""

    def close_files(self) -> None:
        """Let go of the files."""


class OpenSegments:
    """Shared by all logs of a process; readers in threads use it too."""

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._segments: OrderedDict[ClosableSegment, None] = OrderedDict()
        self._lock = threading.Lock()

    def used(self, segment: ClosableSegment) -> None:
        """Note the use of a sealed segment; may close the files of another."""
        with self._lock:
            self._segments[segment] = None
            self._segments.move_to_end(segment)
            while len(self._segments) > self._limit:
                self._segments.popitem(last=False)[0].close_files()

    def forget(self, segment: ClosableSegment) -> None:
        """Hold on no longer to a segment that its log has dropped, so that its space is freed."""
        with self._lock:
            self._segments.pop(segment, None)
