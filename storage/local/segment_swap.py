"""New segments take the place of those they were made from, so that a crash leaves either.

A new segment is complete and durable under names that end in ``.cleaned``. Renamed to ``.swap``,
its ``.log`` last, it is what the log will hold: the old segments get out of the way, then the
``.swap`` files get their final names, the ``.log`` last again. A start that finds ``.log.swap``
does the rest; whatever else it finds was not ready and goes (Apache Kafka's ``LogLoader.java``).
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING

from tidelog.storage.errors import CorruptBatch, WritesStopped
from tidelog.storage.files import Disk, join
from tidelog.storage.local import file_names
from tidelog.storage.local.batch_file import scan
from tidelog.storage.local.cleaned_segment import Cleaned
from tidelog.storage.local.file_names import parse_segment_file_name, segment_file_name
from tidelog.storage.local.retirement import retire
from tidelog.storage.local.segment import Segment
from tidelog.storage.local.segment_view import SegmentEnd

if TYPE_CHECKING:
    from tidelog.storage.local.log import Log

_SUFFIXES = (file_names.OFFSET_INDEX, file_names.TIME_INDEX, file_names.LOG)
"""The log is renamed last: its name decides what a start does."""
_NOT_READY = (file_names.SWAP, file_names.CLEANED)


def replaced_by(log: Log, cleaned: Cleaned) -> list[Segment]:
    """The segments that a new one stands for; none if the log has changed too much for it."""
    old = [
        segment
        for segment in log.segments
        if cleaned.base_offset <= segment.base_offset < cleaned.next_offset
    ]
    sound = (
        bool(old)
        and old[0].base_offset == cleaned.base_offset
        and old[-1] is not log.active
        and old[-1].next_offset <= log.flushed_offset
        and sum(segment.size for segment in old) == cleaned.source_bytes
    )
    return old if sound else []


def offer(disk: Disk, directory: str, cleaned: Cleaned, old: list[Segment]) -> None:
    """Promise the swap durably; readers of ``old`` hold on to its files from here. Blocks."""
    try:
        for segment in old:
            segment.pinned = True
            segment.files()
        for suffix in _SUFFIXES:
            path = join(directory, segment_file_name(cleaned.base_offset, suffix))
            disk.rename(path + file_names.CLEANED, path + file_names.SWAP)
        disk.sync_directory(directory)
    except BaseException:
        release(old)
        raise


def release(old: list[Segment]) -> None:
    """The swap does not happen: the segments may close their files again."""
    for segment in old:
        segment.pinned = False


def swap(log: Log, cleaned: Cleaned, old: list[Segment]) -> list[str]:
    """Put an offered segment in the place of ``old``; paths to remove later.

    For the event loop: nobody may append, roll or remove meanwhile. Raises WritesStopped when
    the disk fails halfway; the next start then finishes it, and the log takes no more writes.
    """
    try:
        return _swap(log, cleaned, old)
    except OSError as error:
        log.flush_failed(f"swapping segments of {log.place.directory} failed: {error.strerror}")
        raise WritesStopped(log.writes_stopped or "") from error


def _swap(log: Log, cleaned: Cleaned, old: list[Segment]) -> list[str]:
    place = log.place
    doomed = [path for segment in old for path in retire(segment, place.disk, place.opened)]
    end = SegmentEnd(cleaned.bytes, old[-1].next_offset)
    interval = log.settings.index_interval_bytes
    new = Segment(place.disk, place.directory, cleaned.base_offset, end, interval)
    for suffix in _SUFFIXES:
        place.disk.rename(new.path(suffix) + file_names.SWAP, new.path(suffix))
    first = log.segments.index(old[0])
    # Another list, because readers in threads may be searching this one.
    log.segments = [*log.segments[:first], new, *log.segments[first + len(old) :]]
    return doomed


def finish_swaps(disk: Disk, directory: str, names: Collection[str]) -> bool:
    """At a start: finish every swap that was promised, remove what was not ready.

    Whether any of the directory's ``names`` have changed.
    """
    if not any(name.endswith(_NOT_READY) for name in names):
        return False
    offered = sorted(name for name in names if name.endswith(file_names.LOG + file_names.SWAP))
    for name in offered:
        base_offset = int(name.partition(".")[0])
        next_offset = _end_of(disk, join(directory, name))
        if next_offset is None:
            continue
        for other in names:
            parsed = parse_segment_file_name(other)
            if parsed and parsed[1] in _SUFFIXES and base_offset < parsed[0] < next_offset:
                disk.remove(join(directory, other))
        for suffix in _SUFFIXES:
            path = join(directory, segment_file_name(base_offset, suffix))
            if disk.exists(path + file_names.SWAP):
                disk.rename(path + file_names.SWAP, path)
            else:
                # It may be the old segment's; an index that is missing is made again.
                disk.remove(path)
    remove_unfinished(disk, directory)
    disk.sync_directory(directory)
    return True


def remove_unfinished(disk: Disk, directory: str) -> None:
    """Remove new segments that did not become part of the log; no swap may be under way.

    Their ``.log`` first, so that a start finds no promise that is half gone.
    """
    names = [name for name in disk.names(directory) if name.endswith(_NOT_READY)]
    for name in sorted(names, key=lambda name: file_names.LOG not in name):
        disk.remove(join(directory, name))


def _end_of(disk: Disk, path: str) -> int | None:
    """The offset after the last batch of a file, None unless every batch is sound."""
    next_offset = None
    with suppress(CorruptBatch):
        for batch in scan(disk.open(path), 0, disk.size(path), check=True):
            next_offset = batch.header.next_offset
        return next_offset
    return None
