"""A segment leaves its log: its files get another name first and are removed later."""

from __future__ import annotations

from tidelog.storage.files import Disk
from tidelog.storage.local import file_names
from tidelog.storage.local.open_segments import OpenSegments
from tidelog.storage.local.segment import Segment

_SUFFIXES = (file_names.LOG, file_names.OFFSET_INDEX, file_names.TIME_INDEX)


def retire(segment: Segment, disk: Disk, opened: OpenSegments) -> list[str]:
    """Rename the files of a segment that was dropped; the paths to remove later."""
    doomed = []
    for suffix in _SUFFIXES:
        path = segment.path(suffix)
        if disk.exists(path):
            disk.rename(path, path + file_names.DELETED)
            doomed.append(path + file_names.DELETED)
    opened.forget(segment)
    return doomed


def discard(segment: Segment, disk: Disk) -> None:
    """Remove what was made for a segment that does not come to be."""
    for suffix in _SUFFIXES:
        disk.remove(segment.path(suffix))
