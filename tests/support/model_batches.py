"""Batches as a plain list holds them, read and stamped without the package's own code."""

from __future__ import annotations

from typing import NamedTuple


class Stored(NamedTuple):
    """A batch as the log must hold it."""

    base_offset: int
    next_offset: int
    max_timestamp: int
    producer_id: int
    base_sequence: int
    data: bytes

    @property
    def next_sequence(self) -> int:
        """What the producer sends next."""
        return self.base_sequence + self.next_offset - self.base_offset


def stamped(data: bytes, base_offset: int, epoch: int) -> bytes:
    """What a batch must look like at its place in the log."""
    prefix = base_offset.to_bytes(8, "big") + data[8:12] + epoch.to_bytes(4, "big")
    return prefix + data[16:]


def stored(batch: bytes, base_offset: int, epoch: int) -> Stored:
    """What a log must hold after an unstamped batch was appended at ``base_offset``."""
    return Stored(
        base_offset,
        base_offset + int.from_bytes(batch[57:61], "big"),
        int.from_bytes(batch[35:43], "big"),
        int.from_bytes(batch[43:51], "big", signed=True),
        int.from_bytes(batch[53:57], "big", signed=True),
        stamped(batch, base_offset, epoch),
    )
