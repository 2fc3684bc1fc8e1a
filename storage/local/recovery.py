"""A directory becomes a log: at once after a clean stop, by reading it again after a crash.

After an unclean stop everything from the recovery point on is read, checked and indexed again.
The log ends before the first bytes that are not a sound batch; what follows is kept beside it
(``segment_recovery.py``, ``cuts.py``). Offsets below the recovery point are not given again,
whatever was cut. Every unclean start begins a new leader epoch.
"""

from __future__ import annotations

import contextlib
import uuid
from typing import NamedTuple

from tidelog.storage.errors import CorruptBatch, DiskFull
from tidelog.storage.files import join, reason_of
from tidelog.storage.local import file_names
from tidelog.storage.local.cuts import TORN, damage_kept, move_away
from tidelog.storage.local.file_names import parse_segment_file_name, segment_file_name
from tidelog.storage.local.leader_epochs import LeaderEpochs
from tidelog.storage.local.log import Log
from tidelog.storage.local.log_state import Cut, LogPlace, LogState
from tidelog.storage.local.partition_metadata import encode_partition_metadata
from tidelog.storage.local.producer_state import ProducerState
from tidelog.storage.local.recovery_watch import RecoveryWatch
from tidelog.storage.local.retirement import discard
from tidelog.storage.local.segment import Segment
from tidelog.storage.local.segment_recovery import (
    SegmentRecovery,
    first_to_check,
    rebuild_missing_indexes,
)
from tidelog.storage.local.segment_swap import finish_swaps
from tidelog.storage.local.segment_view import SegmentEnd
from tidelog.storage.log_settings import LogSettings

_INDEXES = (file_names.OFFSET_INDEX, file_names.TIME_INDEX)


class LastKnown(NamedTuple):
    """What the data directory's checkpoints say of a log; None: nothing.

    ``end_position`` is where its last file ended at a clean stop.
    """

    recovery_point: int | None
    start_offset: int | None
    clean: bool
    end_position: int | None = None


def create_log(place: LogPlace, topic_id: uuid.UUID, settings: LogSettings, offset: int = 0) -> Log:
    """A new, empty log from ``offset`` on, its directory and metadata durable. Raises DiskFull."""
    disk, directory = place.disk, place.directory
    disk.make_directory(directory)
    metadata = encode_partition_metadata(topic_id)
    disk.write_new(join(directory, file_names.PARTITION_METADATA), metadata)
    epochs = LeaderEpochs([(0, offset)])
    disk.write_new(join(directory, file_names.LEADER_EPOCHS), epochs.encode())
    segment = _empty_segment(place, offset, settings)
    disk.sync_directory(directory)
    state = LogState([segment], offset, offset, epochs, ProducerState(), [offset])
    return Log(place, state, settings)


def open_log(
    place: LogPlace,
    settings: LogSettings,
    known: LastKnown,
    now_ms: int,
    watch: RecoveryWatch | None = None,
) -> Log:
    """The log in an existing directory. Raises DirectoryUnreadable, DiskFull, Interrupted."""
    watch = watch or RecoveryWatch()
    watch.check()
    sizes = _tidy(place, watch)
    bases = _base_offsets(sizes)
    clean, point = _is_clean(known, bases, sizes), known.recovery_point or 0
    if bases:
        segments = _segments(place, bases, sizes, settings)
    else:
        reached = max([point, *_snapshot_offsets(sizes)])
        segments = [_empty_segment(place, reached, settings)]
    epochs = _read_epochs(place)
    cuts: list[Cut] = []
    if clean:
        last = segments[-1]
        last.end = SegmentEnd(last.size, max(point, last.base_offset))
        rebuild_missing_indexes(segments, sizes, watch)
    else:
        epoch = 0 if epochs is None else epochs.current
        cuts = SegmentRecovery(place, point, settings, epoch, watch).run(segments, sizes)
        _go_on_at(place, segments, point, settings)
    start_offset = max(known.start_offset or 0, segments[0].base_offset)
    if start_offset > segments[-1].next_offset:
        cuts += [move_away(place, segment, TORN) for segment in segments]
        segments = [_empty_segment(place, start_offset, settings)]
    end_offset = segments[-1].next_offset
    saved = clean and epochs is not None
    epochs = _epochs_in(segments) if epochs is None else epochs
    if not clean:
        epochs.begin(epochs.current + 1, end_offset)
    producers, snapshots = _producers(place, segments, sizes, now_ms, watch)
    flushed = end_offset if clean else min(point, end_offset)
    damage = [*damage_kept(place, sizes), *cuts]
    state = LogState(segments, start_offset, flushed, epochs, producers, snapshots, damage)
    log = Log(place, state, settings)
    if not saved:
        log.epochs_saved = False
        with contextlib.suppress(DiskFull):
            log.save_epochs()
    return log


def _is_clean(known: LastKnown, bases: list[int], sizes: dict[str, int]) -> bool:
    """Whether the log is what a clean stop left, as far as sizes tell."""
    if not known.clean or known.recovery_point is None or known.end_position is None:
        return known.clean and known.recovery_point is not None
    size = sizes[segment_file_name(bases[-1], file_names.LOG)] if bases else 0
    return size == known.end_position


def _go_on_at(place: LogPlace, segments: list[Segment], point: int, settings: LogSettings) -> None:
    """Let no offset below the recovery point be given again: all of them were given."""
    last = segments[-1]
    if last.next_offset >= point:
        return
    if last.size:
        last.end = SegmentEnd(last.size, point)
    else:
        last.close_files()
        discard(segments.pop(), place.disk)
    segments.append(_empty_segment(place, point, settings))


def _base_offsets(sizes: dict[str, int]) -> list[int]:
    parsed = map(parse_segment_file_name, sizes)
    return sorted(found[0] for found in parsed if found and found[1] == file_names.LOG)


def _tidy(place: LogPlace, watch: RecoveryWatch) -> dict[str, int]:
    """Remove what an interrupted change left; the files that remain, with their sizes."""
    disk, directory = place.disk, place.directory
    sizes = disk.sizes(directory)
    if finish_swaps(disk, directory, sizes):
        sizes = disk.sizes(directory)
    logs = {name.partition(".")[0] for name in sizes if name.endswith(file_names.LOG)}
    for name in list(sizes):
        path = join(directory, name)
        parsed = parse_segment_file_name(name)
        if parsed and parsed[1] in _INDEXES and name.partition(".")[0] not in logs:
            _tell_of_a_missing_log(path.removesuffix(parsed[1]), sizes, watch)
            disk.remove(path)
            del sizes[name]
        elif name.endswith((file_names.DELETED, ".tmp")):
            del sizes[name]
            try:
                disk.remove(path)
            except OSError as error:
                watch.unfinished.append(f"{path} could not be removed: {reason_of(error)}")
    return sizes


def _tell_of_a_missing_log(path: str, sizes: dict[str, int], watch: RecoveryWatch) -> None:
    """An index without its log, unless that is just being removed."""
    name = path.rpartition("/")[2] + file_names.LOG
    told = f"{path}{file_names.LOG} is missing: what it held is gone"
    going = name + file_names.DELETED in sizes or any(
        kept.startswith(name) and kept.endswith(file_names.CUT) for kept in sizes
    )
    index = max(sizes.get(path.rpartition("/")[2] + suffix, 0) for suffix in _INDEXES)
    if index and not going and told not in watch.unfinished:
        watch.unfinished.append(told)


def _segments(
    place: LogPlace, bases: list[int], sizes: dict[str, int], settings: LogSettings
) -> list[Segment]:
    segments = []
    for base, following in zip(bases, [*bases[1:], bases[-1]], strict=True):
        end = SegmentEnd(sizes[segment_file_name(base, file_names.LOG)], following)
        interval = settings.index_interval_bytes
        segments.append(Segment(place.disk, place.directory, base, end, interval))
    return segments


def _empty_segment(place: LogPlace, offset: int, settings: LogSettings) -> Segment:
    end = SegmentEnd(0, offset)
    interval = settings.index_interval_bytes
    segment = Segment(place.disk, place.directory, offset, end, interval)
    segment.files()
    segment.save_indexes()
    return segment


def _snapshot_offsets(sizes: dict[str, int]) -> list[int]:
    parsed = (parse_segment_file_name(name) for name in sizes)
    return [p[0] for p in parsed if p and p[1] == file_names.PRODUCER_SNAPSHOT]


def bytes_to_check(place: LogPlace, known: LastKnown) -> int:
    """About how many bytes ``open_log`` will read again. Raises DirectoryUnreadable."""
    sizes = place.disk.sizes(place.directory)
    bases = _base_offsets(sizes)
    if known.clean or not bases:
        return 0
    first = first_to_check(bases, known.recovery_point or 0)
    return sum(sizes[segment_file_name(base, file_names.LOG)] for base in bases[first:])


def _read_epochs(place: LogPlace) -> LeaderEpochs | None:
    """None where there are none that could be right."""
    path = join(place.directory, file_names.LEADER_EPOCHS)
    if not place.disk.exists(path):
        return None
    try:
        return LeaderEpochs.decode(place.disk.read_bytes(path))
    except ValueError:
        return None


def _epochs_in(segments: list[Segment]) -> LeaderEpochs:
    """Those that the batches carry."""
    entries: list[tuple[int, int]] = []
    for segment in segments:
        with contextlib.suppress(CorruptBatch):
            for batch in segment.scan():
                epoch = batch.header.leader_epoch
                if not entries or entries[-1][0] < epoch:
                    entries.append((epoch, batch.header.base_offset))
    return LeaderEpochs(entries)


def _producers(
    place: LogPlace,
    segments: list[Segment],
    sizes: dict[str, int],
    now_ms: int,
    watch: RecoveryWatch,
) -> tuple[ProducerState, list[int]]:
    """The producers at the log's end, from the newest sound snapshot and what came after it.

    Also the offsets of the snapshots up to that one. Those beyond the end are removed: they
    tell of records that were lost.
    """
    end_offset = segments[-1].next_offset
    state, covered = ProducerState(), segments[0].base_offset
    removed = False
    offsets = sorted(_snapshot_offsets(sizes))
    for offset in reversed(offsets):
        path = join(place.directory, segment_file_name(offset, file_names.PRODUCER_SNAPSHOT))
        with contextlib.suppress(ValueError):
            if covered <= offset <= end_offset:
                state = ProducerState.decode_snapshot(place.disk.read_bytes(path))
                covered = offset
                break
        place.disk.remove(path)
        removed = True
    if removed:
        # None may come back once the log has grown past its offset again.
        place.disk.sync_directory(place.directory)
    for segment in segments:
        if segment.next_offset <= covered or not segment.size:
            continue
        with contextlib.suppress(CorruptBatch):
            for batch in segment.scan_from(covered):
                watch.check()
                header = batch.header
                if header.producer_id >= 0 and header.base_offset >= covered:
                    state.note(header, header.base_offset, now_ms)
    return state, [offset for offset in offsets if offset < covered] + [covered]
