"""Bytes as they are passed around: in memory, or stored and not read yet."""

from __future__ import annotations

import sys

Buffer = bytes | bytearray | memoryview
WritableBuffer = bytearray | memoryview


class StoredBytes:
    """Bytes that nobody has read yet; they stay where they are while this is kept.

    No abstract base class: replies ask of each of their parts whether it is one.
    """

    __slots__ = ()

    def __len__(self) -> int:
        raise NotImplementedError

    def read(self, start: int = 0, size: int = sys.maxsize) -> Buffer:
        """Up to ``size`` bytes from ``start`` on; may wait."""
        raise NotImplementedError

    def read_now(self, start: int = 0, size: int = sys.maxsize) -> Buffer:
        """As ``read``. Raises BlockingIOError where it would have to wait."""
        raise NotImplementedError

    def send_now(self, endpoint: int, start: int, size: int) -> int:
        """Send up to ``size`` bytes from ``start`` on to a socket that does not block.

        How many it took. Raises BlockingIOError where the bytes or the socket would have to be
        waited for.
        """
        raise NotImplementedError
