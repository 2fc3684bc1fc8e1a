"""A second reader of segment files, from Apache Kafka's description of them and nothing else.

Shares no code with the package: tests that compare with it would notice if both sides of the
package agreed on something wrong.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

_BATCH = struct.Struct(">qiibIhiqqqhii")
_ENTRY = struct.Struct(">ii")
_TIME_ENTRY = struct.Struct(">qi")


class FoundBatch(NamedTuple):
    """A batch in a ``.log`` file."""

    position: int
    base_offset: int
    last_offset: int
    max_timestamp: int
    data: bytes


def walk_log(path: Path) -> list[FoundBatch]:
    """Every batch of a file that must end with a whole one."""
    data = path.read_bytes()
    found, position = [], 0
    while position < len(data):
        fields = _BATCH.unpack_from(data, position)
        end = position + 12 + fields[1]
        assert end <= len(data), f"{path} ends inside a batch at {position}"
        assert fields[3] == 2
        last_offset = fields[0] + fields[6]
        found.append(FoundBatch(position, fields[0], last_offset, fields[8], data[position:end]))
        position = end
    return found


def read_offset_index(path: Path) -> list[tuple[int, int]]:
    """Offset and position of each entry of an ``.index`` file."""
    base_offset, data = int(path.stem), path.read_bytes()
    assert len(data) % 8 == 0
    return [(base_offset + offset, position) for offset, position in _ENTRY.iter_unpack(data)]


def read_time_index(path: Path) -> list[tuple[int, int]]:
    """Timestamp and offset of each entry of a ``.timeindex`` file."""
    base_offset, data = int(path.stem), path.read_bytes()
    assert len(data) % 12 == 0
    return [
        (timestamp, base_offset + offset) for timestamp, offset in _TIME_ENTRY.iter_unpack(data)
    ]


def check_indexes(log_path: Path, *, complete: bool) -> None:
    """Every entry must be true; with ``complete`` the last time entry must be the largest.

    The rules are those that Apache Kafka's ``kafka-dump-log`` checks.
    """
    batches = walk_log(log_path)
    by_last_offset = {batch.last_offset: batch for batch in batches}
    entries = read_offset_index(log_path.with_suffix(".index"))
    assert entries == sorted(set(entries))
    for offset, position in entries:
        assert by_last_offset[offset].position == position
    times = read_time_index(log_path.with_suffix(".timeindex"))
    assert [time for time, _ in times] == sorted({time for time, _ in times})
    for timestamp, offset in times:
        assert by_last_offset[offset].max_timestamp == timestamp
        assert all(
            batch.max_timestamp <= timestamp for batch in batches if batch.last_offset <= offset
        )
    if complete and batches:
        largest = max(batch.max_timestamp for batch in batches)
        assert times
        assert times[-1][0] == largest
