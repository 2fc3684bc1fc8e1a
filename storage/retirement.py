"""A segment leaves its log: its files get another name first and are removed later."""

from __future__ import annotations

from tidelog.storage import file_names
from tidelog.storage.files import Disk
from tidelog.storage.open_segments import OpenSegments
from tidelog.storage.segment import Segment


def retire(segment: Segment, disk: Disk, opened: OpenSegments) -> list[str]:
    """Rename the files of a segment that was dropped; the paths to remove later."""
    doomed = []
    for suffix in (file_names.LOG, file_names.OFFSET_INDEX, file_names.TIME_INDEX):
        path = segment.path(suffix)
        if disk.exists(path):
            disk.rename(path, path + file_names.DELETED)
            doomed.append(path + file_names.DELETED)
    opened.forget(segment)
    return doomed
