"""Which leader epoch began at which offset: the ``leader-epoch-checkpoint`` of a partition.

Apache Kafka's ``LeaderEpochCheckpointFile.java`` defines the text: version ``0``, the number of
entries, then ``epoch startOffset`` lines. Every unclean start raises the epoch, so that consumers
can tell when offsets that were only written, not flushed, have been given again.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise


class LeaderEpochs:
    """Epochs in ascending order with the offset at which each began."""

    def __init__(self, entries: list[tuple[int, int]] | None = None) -> None:
        self._entries = entries or []

    @property
    def current(self) -> int:
        """The latest epoch; 0 before any was begun."""
        return self._entries[-1][0] if self._entries else 0

    def begin(self, epoch: int, start_offset: int) -> None:
        """From ``start_offset`` on batches carry ``epoch``."""
        while self._entries and self._entries[-1][1] >= start_offset:
            self._entries.pop()
        self._entries.append((epoch, start_offset))

    def end_offset_of(self, epoch: int, log_end: int) -> tuple[int, int]:
        """The largest epoch not above ``epoch`` and the offset where the next one began.

        (-1, -1) when no such epoch is known, as Kafka's OffsetForLeaderEpoch answers.
        """
        entry = bisect_right(self._entries, epoch, key=lambda pair: pair[0]) - 1
        if epoch < 0 or entry < 0:
            return -1, -1
        if epoch > self.current:
            return -1, -1
        if entry + 1 == len(self._entries):
            return self._entries[entry][0], log_end
        return self._entries[entry][0], self._entries[entry + 1][1]

    def truncate_below(self, start_offset: int) -> None:
        """Forget epochs that ended before the log's first offset."""
        while len(self._entries) > 1 and self._entries[1][1] <= start_offset:
            self._entries.pop(0)
        if self._entries and self._entries[0][1] < start_offset:
            self._entries[0] = (self._entries[0][0], start_offset)

    def encode(self) -> bytes:
        """The content of the checkpoint file."""
        lines = ["0", str(len(self._entries))]
        lines += [f"{epoch} {offset}" for epoch, offset in self._entries]
        return ("\n".join(lines) + "\n").encode()

    @classmethod
    def decode(cls, data: bytes) -> LeaderEpochs:
        """Raises ValueError for anything but a whole checkpoint of version 0."""
        lines = data.decode().split("\n")
        if lines[0] != "0":
            raise ValueError(f"leader epoch checkpoint of version {lines[0]!r}")
        if len(lines) < 3:
            raise ValueError("leader epoch checkpoint is incomplete")
        count = int(lines[1])
        entries = [tuple(map(int, line.split(" "))) for line in lines[2 : 2 + count]]
        if len(entries) != count or any(len(entry) != 2 for entry in entries):
            raise ValueError("leader epoch checkpoint is incomplete")
        pairs = [(epoch, offset) for epoch, offset in entries]
        for (epoch, offset), (next_epoch, next_offset) in pairwise(pairs):
            if not (epoch < next_epoch and offset <= next_offset):
                raise ValueError("leader epochs do not ascend")
        return cls(pairs)
