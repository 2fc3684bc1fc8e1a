"""A run: contiguous whole batches of one partition in memory, and where each begins.

A run answers for the offsets from ``base_offset`` up to, not including, ``next_offset``; after
compaction the first batch may begin later than the first offset that it answers for.

A run with spare room takes the batches that follow it, so that small appends share one buffer.
The buffer never moves and what was written is never overwritten while it can be read, so the
views handed out stay valid, also after the run is dropped.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from typing import NamedTuple

from tidelog.storage.batches.record_batch import HEADER_SIZE, SIZE_PREFIX
from tidelog.storage.buffers import Buffer
from tidelog.storage.cache.s3_fifo import Entry
from tidelog.storage.errors import CorruptBatch

LogId = tuple[str, str, int]
"""Topic name, topic id in hexadecimal, partition."""


class Part(NamedTuple):
    """Whole batches that answer for the offsets from ``base_offset`` to ``next_offset``."""

    base_offset: int
    next_offset: int
    data: Buffer


RUN_OVERHEAD_BYTES = 1152
"""What a run takes beside its buffer: measured, rounded up."""
_MARK_BYTES = 2048
_MARK_COST = 20

_PLACE = struct.Struct(">qi11xi")
"""Base offset, length and last offset delta of a batch header."""


def run_cost(capacity_bytes: int) -> int:
    """All the memory of a run whose buffer has ``capacity_bytes``."""
    return RUN_OVERHEAD_BYTES + capacity_bytes + capacity_bytes // _MARK_BYTES * _MARK_COST


def held_bytes(data: Buffer) -> int:
    """Memory that keeping ``data`` keeps: a view holds on to all of the buffer behind it."""
    return memoryview(data.obj).nbytes if isinstance(data, memoryview) else len(data)


class Run(Entry):
    """``view`` is read-only; batches lie in it from ``front`` to ``size``."""

    __slots__ = (
        "_mark_offsets",
        "_mark_positions",
        "_room",
        "asked_offset",
        "base_offset",
        "born_ns",
        "front",
        "log_id",
        "next_offset",
        "size",
        "view",
    )

    def __init__(self, log_id: LogId, part: Part, capacity: int, born_ns: int) -> None:
        """Keeps the data itself, or a copy in a buffer of ``capacity`` bytes if that is more."""
        base_offset, next_offset, data = part
        super().__init__(run_cost(max(capacity, held_bytes(data))))
        self.log_id = log_id
        self.base_offset = base_offset
        self.next_offset = next_offset
        self.front = 0
        self.size = len(data)
        self.born_ns = born_ns
        self.asked_offset = base_offset - 1
        self._room: memoryview | None = None
        if capacity > len(data):
            self._room = memoryview(bytearray(capacity))
            self._room[: len(data)] = data
            self.view = self._room.toreadonly()
        else:
            self.view = memoryview(data).toreadonly()
        self._mark_offsets = array("q", (base_offset,))
        self._mark_positions = array("q", (0,))

    @property
    def spare(self) -> int:
        """Bytes that ``extend`` still takes."""
        return 0 if self._room is None else len(self._room) - self.size

    @property
    def capacity(self) -> int:
        """Bytes of the buffer."""
        return len(self.view)

    def extend(self, next_offset: int, data: Buffer) -> None:
        """Copy the batches that follow into the spare room."""
        if self._room is None:
            raise ValueError("a sealed run takes nothing more")
        end = self.size + len(data)
        self._room[self.size : end] = data
        self.size = end
        self.next_offset = next_offset

    def note_asked(self, offset: int) -> None:
        """Count a use if somebody asks for what was asked for before.

        A reader that goes through the run once, in whatever steps, asks for ever higher offsets
        and is not counted: only a second reader makes the run worth keeping.
        """
        if offset <= self.asked_offset:
            self.use()
        else:
            self.asked_offset = offset

    def position_of(self, offset: int) -> int:
        """Where the batch that reaches ``offset`` starts; the size if none does.

        Raises CorruptBatch.
        """
        mark = bisect_right(self._mark_offsets, offset) - 1
        position = self._mark_positions[mark]
        while position < self.size:
            next_offset, end = self._batch_at(position)
            if next_offset > offset:
                break
            position = end
            self._mark(next_offset, position)
        return position

    def boundary(self, position: int, limit: int) -> int:
        """The last end of a batch that is not beyond ``limit``, or ``position`` if none is.

        ``position`` is where a batch starts. Raises CorruptBatch.
        """
        mark = bisect_right(self._mark_positions, limit) - 1
        position = max(position, self._mark_positions[mark])
        while position < self.size:
            next_offset, end = self._batch_at(position)
            if end > limit:
                break
            position = end
            self._mark(next_offset, position)
        return position

    def offset_at(self, position: int) -> int:
        """The base offset of the batch that starts at ``position``, the end's next offset."""
        if position == self.size:
            return self.next_offset
        offset: int = _PLACE.unpack_from(self.view, position)[0]
        return offset

    def end_of_batch(self, position: int) -> int:
        """Where the batch that starts at ``position`` ends. Raises CorruptBatch."""
        return self._batch_at(position)[1]

    def cut_front(self, offset: int) -> None:
        """Answer no longer for what lies below ``offset``; the batch that holds it stays.

        Raises CorruptBatch.
        """
        self.front = self.position_of(offset)
        self.base_offset = offset

    def cut_back(self, offset: int) -> None:
        """Keep only batches that end at or below ``offset``. Raises CorruptBatch."""
        mark = bisect_right(self._mark_offsets, offset) - 1
        position, kept_offset = self._mark_positions[mark], self._mark_offsets[mark]
        while position < self.size:
            next_offset, end = self._batch_at(position)
            if next_offset > offset:
                break
            position, kept_offset = end, next_offset
        del self._mark_offsets[mark + 1 :], self._mark_positions[mark + 1 :]
        self._room = None
        self.size, self.next_offset = position, kept_offset

    def _batch_at(self, position: int) -> tuple[int, int]:
        """Next offset and end position of the batch at ``position``."""
        if position + HEADER_SIZE > self.size:
            raise CorruptBatch("the bytes end inside a batch header", None, position)
        base_offset, length, last_offset_delta = _PLACE.unpack_from(self.view, position)
        end = position + length + SIZE_PREFIX
        if length < HEADER_SIZE - SIZE_PREFIX or end > self.size:
            raise CorruptBatch(f"length {length} does not fit", None, position)
        return base_offset + last_offset_delta + 1, end

    def _mark(self, offset: int, position: int) -> None:
        """Remember a batch start found on the way, if the last one is far enough behind."""
        if position >= self._mark_positions[-1] + _MARK_BYTES:
            self._mark_offsets.append(offset)
            self._mark_positions.append(position)
