"""The time index of a segment: sparse, from timestamp to offset.

Apache Kafka's ``TimeIndex.java`` defines the entry, 12 bytes big-endian::

    0  timestamp        int64   largest in the segment so far, ms
    8  relative offset  int32   last offset of the batch that holds it, minus the base offset

Timestamps of entries grow strictly. As with the offset index there is no checksum, and entries
are written in groups.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator

_ENTRY = struct.Struct(">qi")
ENTRY_SIZE = _ENTRY.size


class TimeIndex:
    """Entries in ascending order of timestamp."""

    def __init__(self, base_offset: int, stored: bytes = b"") -> None:
        """``stored`` is the file's content; a torn last entry is left out."""
        self._base_offset = base_offset
        whole = stored[: len(stored) // ENTRY_SIZE * ENTRY_SIZE]
        entries = list(_ENTRY.iter_unpack(whole))
        self._timestamps: list[int] = [timestamp for timestamp, _ in entries]
        self._offsets: list[int] = [offset for _, offset in entries]
        self._stored = len(entries)

    def __len__(self) -> int:
        return len(self._timestamps)

    def maybe_append(self, timestamp: int, last_offset: int) -> None:
        """Add an entry if ``timestamp`` is larger than any before."""
        if not self._timestamps or timestamp > self._timestamps[-1]:
            # Readers in threads find an entry through its timestamp: by then it must be whole.
            self._offsets.append(last_offset - self._base_offset)
            self._timestamps.append(timestamp)

    def entries_before(self, timestamp: int, most: int) -> Iterator[tuple[int, int]]:
        """Entries before ``timestamp``, at most so many, last ones first.

        Each is a timestamp and the last offset of the batch that has it: every record up to that
        one is at most as new.
        """
        last = bisect_left(self._timestamps, timestamp) - 1
        for entry in range(last, max(-1, last - most), -1):
            yield self._timestamps[entry], self._base_offset + self._offsets[entry]

    def last_entry(self) -> tuple[int, int] | None:
        """Largest timestamp and the last offset of the batch that holds it."""
        if not self._timestamps:
            return None
        return self._timestamps[-1], self._base_offset + self._offsets[-1]

    def truncate(self, offset: int) -> None:
        """Drop entries at or beyond ``offset``."""
        relative = offset - self._base_offset
        keep = len(self._offsets)
        while keep and self._offsets[keep - 1] >= relative:
            keep -= 1
        del self._timestamps[keep:], self._offsets[keep:]
        self._stored = min(self._stored, keep)

    def is_sound(self) -> bool:
        """Whether timestamps ascend and offsets do not descend."""
        return (
            (not self._offsets or self._offsets[0] >= 0)
            and all(a < b for a, b in zip(self._timestamps, self._timestamps[1:], strict=False))
            and all(a <= b for a, b in zip(self._offsets, self._offsets[1:], strict=False))
        )

    @property
    def unstored(self) -> int:
        """How many entries are not in the file yet."""
        return len(self._timestamps) - self._stored

    @property
    def stored_size(self) -> int:
        """Bytes of the entries that are in the file."""
        return self._stored * ENTRY_SIZE

    def encode_from(self, size: int) -> bytes:
        """What follows the first ``size`` bytes of the file, a whole number of entries."""
        first = size // ENTRY_SIZE
        entries = zip(self._timestamps[first:], self._offsets[first:], strict=True)
        return b"".join(_ENTRY.pack(timestamp, offset) for timestamp, offset in entries)

    def mark_stored(self) -> None:
        """Note that the file holds every entry."""
        self._stored = len(self._timestamps)
