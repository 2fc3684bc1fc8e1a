"""The offset index of a segment: sparse, from offset to position in the ``.log`` file.

Apache Kafka's ``OffsetIndex.java`` defines the entry, 8 bytes big-endian::

    0  relative offset  int32   LAST offset of a batch, minus the segment's base offset
    4  position         int32   where that batch STARTS

No checksum: the log is the truth, the index a hint that recovery makes again. Entries are kept
in memory while the segment is open and written in groups, so that an append costs no system
call for its index.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterator

ENTRY_SIZE = 8


class OffsetIndex:
    """Entries in ascending order; positions in bytes."""

    def __init__(self, base_offset: int, stored: bytes = b"") -> None:
        """``stored`` is the file's content; a torn last entry is left out."""
        self._base_offset = base_offset
        numbers = array("i")
        numbers.frombytes(stored[: len(stored) // ENTRY_SIZE * ENTRY_SIZE])
        if sys.byteorder == "little":
            numbers.byteswap()
        self._offsets = numbers[::2]
        self._positions = numbers[1::2]
        self._stored = len(self._offsets)

    def __len__(self) -> int:
        return len(self._offsets)

    def append(self, last_offset: int, position: int) -> None:
        """Remember the batch that ends with ``last_offset`` and starts at ``position``."""
        # Readers in threads find an entry through its offset: by then it must have a position.
        self._positions.append(position)
        self._offsets.append(last_offset - self._base_offset)

    def position_of(self, offset: int) -> int:
        """Where to start looking for ``offset``: never beyond the batch that holds it."""
        entry = bisect_right(self._offsets, offset - self._base_offset) - 1
        return self._positions[entry] if entry >= 0 else 0

    def entries_before(self, offset: int, most: int) -> Iterator[tuple[int, int]]:
        """Entries of batches that end at or before ``offset``, at most so many, last ones first.

        Each is a batch's last offset and its start position.
        """
        last = bisect_right(self._offsets, offset - self._base_offset) - 1
        for entry in range(last, max(-1, last - most), -1):
            yield self._base_offset + self._offsets[entry], self._positions[entry]

    def entry_at_or_before(self, position: int) -> tuple[int, int] | None:
        """The entry of the last indexed batch that does not start beyond ``position``."""
        entry = bisect_right(self._positions, position) - 1
        if entry < 0:
            return None
        return self._base_offset + self._offsets[entry], self._positions[entry]

    def last_entry(self) -> tuple[int, int] | None:
        """Last offset and start position of the last indexed batch."""
        if not self._offsets:
            return None
        return self._base_offset + self._offsets[-1], self._positions[-1]

    def truncate(self, position: int) -> None:
        """Drop the entries of batches that start at or beyond ``position``."""
        keep = len(self._positions)
        while keep and self._positions[keep - 1] >= position:
            keep -= 1
        del self._offsets[keep:], self._positions[keep:]
        self._stored = min(self._stored, keep)

    def is_sound(self, log_size: int) -> bool:
        """Whether entries ascend and lie inside a log of ``log_size`` bytes."""
        return (
            all(a < b for a, b in zip(self._offsets, self._offsets[1:], strict=False))
            and all(a < b for a, b in zip(self._positions, self._positions[1:], strict=False))
            and (not self._positions or min(self._offsets[0], self._positions[0]) >= 0)
            and (not self._positions or self._positions[-1] < log_size)
        )

    @property
    def unstored(self) -> int:
        """How many entries are not in the file yet."""
        return len(self._offsets) - self._stored

    @property
    def stored_size(self) -> int:
        """Bytes of the entries that are in the file."""
        return self._stored * ENTRY_SIZE

    def encode_from(self, size: int) -> bytes:
        """What follows the first ``size`` bytes of the file, a whole number of entries."""
        first = size // ENTRY_SIZE
        both = array("i", bytes(ENTRY_SIZE * (len(self._offsets) - first)))
        both[::2] = self._offsets[first:]
        both[1::2] = self._positions[first:]
        if sys.byteorder == "little":
            both.byteswap()
        return both.tobytes()

    def mark_stored(self) -> None:
        """Note that the file holds every entry."""
        self._stored = len(self._offsets)
