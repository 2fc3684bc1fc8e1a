"""Batches that the broker cannot read and was told to pass."""

from __future__ import annotations

import sys

import msgspec


class Unreadable(msgspec.Struct):
    """Offsets from ``offset`` to before ``next_offset`` of a partition."""

    topic: str
    partition: int
    offset: int
    next_offset: int
    reason: str


def tell_left_out(batches: list[Unreadable]) -> None:
    """One line for each on standard error."""
    for batch in batches:
        offsets = f"offsets {batch.offset} to {batch.next_offset - 1}"
        place = f"{batch.topic}-{batch.partition}"
        print(f"tidelog: {offsets} of {place} are left out: {batch.reason}", file=sys.stderr)
