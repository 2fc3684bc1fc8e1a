"""A member whose part in the protocol the broker plays: that of an HTTP caller.

It is a member of the new protocol (KIP-848) like any other. The caller only polls: with each poll
it brings back its cursor, and by that says that it is done with what came with it. From this
follows what the member owns, where it reads on and what may be committed; all of it pure.

A poll that is sent again, or arrives late, changes nothing that a newer one has done: commits only
move forward, and a partition is given up only by a cursor that no longer has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tidelog.consumer_groups.hosted.cursor import EARLIEST, Cursor
from tidelog.consumer_groups.records.consumer_group_records import (
    CurrentAssignment,
    TopicIdPartition,
)

HOSTED_PREFIX = "http-"


class Extent(NamedTuple):
    """What a partition holds and what its group has committed there."""

    start_offset: int
    end_offset: int
    committed: int | None


def is_hosted(member_id: str) -> bool:
    return member_id.startswith(HOSTED_PREFIX)


def owned(current: CurrentAssignment, cursor: Cursor) -> tuple[TopicIdPartition, ...]:
    """The partitions that the caller may still be reading.

    Those in its cursor, and those given to it after the cursor was: it has a newer cursor then.
    """
    held = {**current.assigned, **current.revoking}
    return tuple(
        place
        for place, since in held.items()
        if place in cursor.positions or since > cursor.generation
    )


def position(
    place: TopicIdPartition, current: CurrentAssignment, cursor: Cursor, extent: Extent
) -> int:
    """Where to read on: where the cursor was, else after what is committed, else by the reset."""
    offset = extent.committed
    if current.assigned[place] <= cursor.generation:
        offset = cursor.positions.get(place, offset)
    if offset is not None and extent.start_offset <= offset <= extent.end_offset:
        return offset
    return extent.start_offset if cursor.auto_offset_reset == EARLIEST else extent.end_offset


def to_commit(
    current: CurrentAssignment, cursor: Cursor, extents: Mapping[TopicIdPartition, Extent]
) -> dict[TopicIdPartition, int]:
    """What the caller is done with and has not committed, of the partitions that it still has.

    After a first poll that is also where it stands in those that have brought nothing yet, as Java
    clients commit it: their next reader begins where this one did, whatever came meanwhile.
    """
    held = {**current.assigned, **current.revoking}
    offsets: dict[TopicIdPartition, int] = {}
    for place, offset in cursor.positions.items():
        extent = extents.get(place)
        if extent is None or held.get(place, cursor.generation + 1) > cursor.generation:
            continue
        before = extent.start_offset if extent.committed is None else extent.committed
        was_cut = before > extent.end_offset
        is_first = extent.committed is None and cursor.turn > 0
        if offset <= extent.end_offset and (offset > before or was_cut or is_first):
            offsets[place] = offset
    return offsets
