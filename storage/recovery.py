"""A directory becomes a log: at once after a clean stop, by reading it again after a crash.

After an unclean stop everything from the recovery point on is read, checked and indexed again.
The log ends before the first bytes that are not a sound batch; what follows, later segments too,
is kept beside it in ``.cut`` files. Whole batches after the bad bytes mean damage rather than a
torn end: such a file is named ``.damaged.cut`` until an administrator has acknowledged it. Every
unclean start begins a new leader epoch.
"""

from __future__ import annotations

import contextlib
import uuid
from typing import NamedTuple

from tidelog.storage import file_names
from tidelog.storage.batch_file import find_batch_after
from tidelog.storage.errors import CorruptBatch, DiskFull
from tidelog.storage.file_names import parse_segment_file_name, segment_file_name
from tidelog.storage.files import Disk, File, join, reason_of
from tidelog.storage.leader_epochs import LeaderEpochs
from tidelog.storage.log import Log
from tidelog.storage.log_settings import LogSettings
from tidelog.storage.log_state import Cut, LogPlace, LogState
from tidelog.storage.partition_metadata import encode_partition_metadata
from tidelog.storage.producer_state import ProducerState
from tidelog.storage.recovery_watch import RecoveryWatch
from tidelog.storage.segment import Segment, SegmentEnd
from tidelog.storage.segment_swap import finish_swaps

_TORN = ".torn" + file_names.CUT
_DAMAGED = ".damaged" + file_names.CUT
_COPY_BYTES = 1024 * 1024


class LastKnown(NamedTuple):
    """What the data directory's checkpoints say of a log; None: nothing."""

    recovery_point: int | None
    start_offset: int | None
    clean: bool


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
    if bases:
        segments = _segments(place, bases, sizes, settings)
    else:
        # Offsets that are known to have been reached are not given again.
        reached = max([known.recovery_point or 0, *_snapshot_offsets(sizes)])
        segments = [_empty_segment(place, reached, settings)]
    if known.clean and known.recovery_point is not None:
        last = segments[-1]
        last.end = SegmentEnd(last.size, max(known.recovery_point, last.base_offset))
        _rebuild_missing_indexes(segments, sizes, watch)
        cuts: list[Cut] = []
    else:
        point = known.recovery_point or 0
        cuts = _recover(place, segments, sizes, point, settings, watch)
    start_offset = max(known.start_offset or 0, segments[0].base_offset)
    if start_offset > segments[-1].next_offset:
        cuts += [_move_away(place, segment, _TORN) for segment in segments]
        segments = [_empty_segment(place, start_offset, settings)]
    end_offset = segments[-1].next_offset
    epochs = _read_epochs(place)
    if not known.clean:
        epochs.begin(epochs.current + 1, end_offset)
    producers, snapshots = _producers(place, segments, sizes, now_ms, watch)
    flushed = end_offset if known.clean else min(known.recovery_point or 0, end_offset)
    damage = [*_damage_kept(place, sizes), *cuts]
    state = LogState(segments, start_offset, flushed, epochs, producers, snapshots, damage)
    log = Log(place, state, settings)
    if not known.clean:
        log.epochs_saved = False
        with contextlib.suppress(DiskFull):
            log.save_epochs()
    return log


def _base_offsets(sizes: dict[str, int]) -> list[int]:
    parsed = map(parse_segment_file_name, sizes)
    return sorted(found[0] for found in parsed if found and found[1] == file_names.LOG)


def acknowledge_damage(log: Log) -> None:
    """An administrator knows: the damaged bytes stay kept, the log no longer reports them."""
    disk = log.place.disk
    for cut in log.cuts:
        if cut.damage and disk.exists(cut.kept_as):
            disk.rename(cut.kept_as, _free_name(disk, *_cut_from(cut.kept_as), _TORN))
    log.cuts = []


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
        indexes = (file_names.OFFSET_INDEX, file_names.TIME_INDEX)
        orphan = parsed and parsed[1] in indexes and name.partition(".")[0] not in logs
        if orphan:
            disk.remove(path)
            del sizes[name]
        elif name.endswith((file_names.DELETED, ".tmp")):
            del sizes[name]
            try:
                disk.remove(path)
            except OSError as error:
                watch.unfinished.append(f"{path} could not be removed: {reason_of(error)}")
    return sizes


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


def _rebuild_missing_indexes(
    segments: list[Segment], sizes: dict[str, int], watch: RecoveryWatch
) -> None:
    for segment in segments:
        names = (
            segment_file_name(segment.base_offset, file_names.OFFSET_INDEX),
            segment_file_name(segment.base_offset, file_names.TIME_INDEX),
        )
        if any(name not in sizes for name in names):
            _rebuild(segment, watch)


def _rebuild(segment: Segment, watch: RecoveryWatch) -> None:
    """Make the indexes of a segment again; damage in it is left for its readers to find."""
    end = segment.end
    segment.drop_index_entries_from(0, segment.base_offset)
    with contextlib.suppress(CorruptBatch):
        for _ in segment.rebuild_from(0, check=False):
            watch.check()
    segment.end = end
    segment.seal()


def _recover(
    place: LogPlace,
    segments: list[Segment],
    sizes: dict[str, int],
    point: int,
    settings: LogSettings,
    watch: RecoveryWatch,
) -> list[Cut]:
    """Check ``segments`` from the recovery point on; the list is shortened where one is cut."""
    first = _first_to_check([segment.base_offset for segment in segments], point)
    _rebuild_missing_indexes(segments[:first], sizes, watch)
    for number in range(first, len(segments)):
        segment = segments[number]
        cut = _recover_segment(place, segment, point, watch)
        following = segments[number + 1] if number + 1 < len(segments) else None
        try:
            segment.seal()
        except DiskFull:
            # The last one's indexes are kept in memory until there is room.
            if following is not None:
                raise
        segment.indexes_synced = False
        gap = (
            following is not None
            and not settings.compact
            and segment.next_offset != following.base_offset
        )
        if cut is None and not gap:
            if following is not None:
                segment.end = SegmentEnd(segment.size, following.base_offset)
            continue
        later = [_move_away(place, s, _DAMAGED) for s in segments[number + 1 :] if s.size]
        for empty in (s for s in segments[number + 1 :] if not s.size):
            _move_away(place, empty, _TORN)
        del segments[number + 1 :]
        if cut is not None and later and not cut.damage:
            renamed = _free_name(place.disk, cut.path, cut.position, _DAMAGED)
            place.disk.rename(cut.kept_as, renamed)
            cut = cut._replace(damage=True, kept_as=renamed)
        return [cut, *later] if cut is not None else later
    return []


def _first_to_check(base_offsets: list[int], point: int) -> int:
    """The number of the first segment that recovery from ``point`` reads again.

    Also the one that ends at the point: its indexes may have been completed later.
    """
    return max((n for n, base in enumerate(base_offsets) if base < point), default=0)


def bytes_to_check(place: LogPlace, known: LastKnown) -> int:
    """About how many bytes ``open_log`` will read again. Raises DirectoryUnreadable."""
    sizes = place.disk.sizes(place.directory)
    bases = _base_offsets(sizes)
    if known.clean or not bases:
        return 0
    first = _first_to_check(bases, known.recovery_point or 0)
    return sum(sizes[segment_file_name(base, file_names.LOG)] for base in bases[first:])


def _recover_segment(
    place: LogPlace, segment: Segment, point: int, watch: RecoveryWatch
) -> Cut | None:
    """Check one segment; what had to be cut from its end, if anything."""
    size = segment.files().log.size
    position, offset = _recovery_start(segment, point)
    segment.end = SegmentEnd(position, offset)
    watch.begin(segment)
    with contextlib.suppress(CorruptBatch):
        for batch in segment.rebuild_from(position, check=True):
            watch.check()
            header = batch.header
            if header.base_offset < offset or header.last_offset_delta < 0:
                segment.end = SegmentEnd(batch.position, offset)
                break
            offset = header.next_offset
    watch.end(size)
    return _cut_end(place, segment, size) if segment.size < size else None


def _recovery_start(segment: Segment, point: int) -> tuple[int, int]:
    """Position and offset of a sound indexed batch at or before the recovery point.

    What the indexes say beyond it is dropped. Where there is none: the start of the segment.
    """
    last_time = segment.files().time_index.last_entry()
    if point > segment.base_offset and last_time and segment.indexes_are_sound():
        # One index may have lost more of its end than the other.
        position = segment.files().offset_index.position_of(min(point, last_time[1]))
        with contextlib.suppress(CorruptBatch):
            batch = next(segment.scan(position, check=True), None)
            if position and batch and batch.header.base_offset <= point:
                segment.drop_index_entries_from(position + 1, batch.header.next_offset)
                return position, batch.header.base_offset
    segment.drop_index_entries_from(0, segment.base_offset)
    return 0, segment.base_offset


def _cut_end(place: LogPlace, segment: Segment, size: int) -> Cut:
    """Keep the bytes after the last sound batch in a file of their own and truncate."""
    position, offset = segment.end
    log = segment.files().log
    epoch = _read_epochs(place).current
    damage = any(
        find_batch_after(log, position, size, known, offset) is not None
        for known in range(epoch, max(-1, epoch - 8), -1)
    )
    kept_as = _free_name(place.disk, log.path, position, _DAMAGED if damage else _TORN)
    kept = place.disk.open(kept_as)
    _copy(log, kept, position, size)
    kept.sync()
    place.disk.sync_directory(place.directory)
    segment.truncate(position, offset)
    segment.sync()
    return Cut(log.path, position, size - position, kept_as, damage)


def _copy(source: File, target: File, position: int, end: int) -> None:
    while position < end:
        chunk = source.read_at(position, min(_COPY_BYTES, end - position))
        target.append(chunk)
        position += len(chunk)


def _free_name(disk: Disk, path: str, position: int, suffix: str) -> str:
    """A name for what was cut at ``position``: FILE.POSITION or, once taken, FILE.POSITION-N."""
    name, number = f"{path}.{position}{suffix}", 0
    while disk.exists(name):
        number += 1
        name = f"{path}.{position}-{number}{suffix}"
    return name


def _move_away(place: LogPlace, segment: Segment, suffix: str) -> Cut:
    """Take a whole segment out of the log; its bytes are kept, its indexes go."""
    path = segment.path(file_names.LOG)
    kept_as = _free_name(place.disk, path, 0, suffix)
    size = place.disk.size(path)
    segment.sync()
    segment.close_files()
    place.disk.rename(path, kept_as)
    place.disk.remove(segment.path(file_names.OFFSET_INDEX))
    place.disk.remove(segment.path(file_names.TIME_INDEX))
    return Cut(path, 0, size, kept_as, suffix == _DAMAGED)


def _damage_kept(place: LogPlace, sizes: dict[str, int]) -> list[Cut]:
    """Damage that earlier starts found and nobody has acknowledged."""
    damage = []
    for name, size in sizes.items():
        if name.endswith(_DAMAGED):
            path, position = _cut_from(join(place.directory, name))
            damage.append(Cut(path, position, size, join(place.directory, name), True))
    return damage


def _cut_from(kept_as: str) -> tuple[str, int]:
    """The file and the position from which a ``.damaged.cut`` file was cut."""
    path, _, place = kept_as.removesuffix(_DAMAGED).rpartition(".")
    return path, int(place.partition("-")[0])


def _read_epochs(place: LogPlace) -> LeaderEpochs:
    path = join(place.directory, file_names.LEADER_EPOCHS)
    if not place.disk.exists(path):
        return LeaderEpochs()
    try:
        return LeaderEpochs.decode(place.disk.read_bytes(path))
    except ValueError:
        return LeaderEpochs()


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
        position = segment.files().offset_index.position_of(covered)
        with contextlib.suppress(CorruptBatch):
            for batch in segment.scan(position):
                watch.check()
                header = batch.header
                if header.producer_id >= 0 and header.base_offset >= covered:
                    state.note(header, header.base_offset, now_ms)
    return state, [offset for offset in offsets if offset < covered] + [covered]
