"""What recovery takes out of a log is kept beside it in ``.cut`` files, never removed.

Whole batches after bad bytes mean damage rather than a torn end: such a file is named
``.damaged.cut`` until an administrator has acknowledged it, others ``.torn.cut``.
"""

from __future__ import annotations

from tidelog.storage.files import Disk, File, join
from tidelog.storage.local import file_names
from tidelog.storage.local.batch_file import find_batch_after
from tidelog.storage.local.log import Log
from tidelog.storage.local.log_state import Cut, LogPlace
from tidelog.storage.local.segment import Segment

TORN = ".torn" + file_names.CUT
DAMAGED = ".damaged" + file_names.CUT
_COPY_BYTES = 1024 * 1024


def acknowledge_damage(log: Log) -> None:
    """An administrator knows: the damaged bytes stay kept, the log no longer reports them."""
    disk = log.place.disk
    for cut in log.cuts:
        if cut.damage and disk.exists(cut.kept_as):
            disk.rename(cut.kept_as, free_name(disk, *_cut_from(cut.kept_as), TORN))
    log.cuts = []


def cut_end(place: LogPlace, segment: Segment, size: int, epoch: int) -> Cut:
    """Keep the bytes after the last sound batch in a file of their own and truncate.

    ``epoch`` is the log's latest leader epoch.
    """
    position, offset = segment.end
    log = segment.files().log
    damage = any(
        find_batch_after(log, position, size, known, offset) is not None
        for known in range(epoch, max(-1, epoch - 8), -1)
    )
    kept_as = free_name(place.disk, log.path, position, DAMAGED if damage else TORN)
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


def free_name(disk: Disk, path: str, position: int, suffix: str) -> str:
    """A name for what was cut at ``position``: FILE.POSITION or, once taken, FILE.POSITION-N."""
    name, number = f"{path}.{position}{suffix}", 0
    while disk.exists(name):
        number += 1
        name = f"{path}.{position}-{number}{suffix}"
    return name


def move_away(place: LogPlace, segment: Segment, suffix: str) -> Cut:
    """Take a whole segment out of the log; its bytes are kept, its indexes go."""
    path = segment.path(file_names.LOG)
    kept_as = free_name(place.disk, path, 0, suffix)
    size = place.disk.size(path)
    segment.sync()
    segment.close_files()
    place.disk.rename(path, kept_as)
    place.disk.remove(segment.path(file_names.OFFSET_INDEX))
    place.disk.remove(segment.path(file_names.TIME_INDEX))
    return Cut(path, 0, size, kept_as, suffix == DAMAGED)


def damage_kept(place: LogPlace, sizes: dict[str, int]) -> list[Cut]:
    """Damage that earlier starts found and nobody has acknowledged."""
    damage = []
    for name, size in sizes.items():
        if name.endswith(DAMAGED):
            path, position = _cut_from(join(place.directory, name))
            damage.append(Cut(path, position, size, join(place.directory, name), True))
    return damage


def _cut_from(kept_as: str) -> tuple[str, int]:
    """The file and the position from which a ``.damaged.cut`` file was cut."""
    path, _, place = kept_as.removesuffix(DAMAGED).rpartition(".")
    return path, int(place.partition("-")[0])
