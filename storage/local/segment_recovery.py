"""Segments of a log are read, checked and indexed again after a crash, from the recovery point on.

The log ends before the first bytes that are not a sound batch; what follows, later segments too,
is taken out. Below the recovery point everything was flushed: what is missing there is damage,
and what follows it stays.
"""

from __future__ import annotations

import contextlib
from typing import NamedTuple

from tidelog.storage.batches.record_batch import BatchHeader
from tidelog.storage.errors import CorruptBatch, DiskFull
from tidelog.storage.local import file_names
from tidelog.storage.local.cuts import DAMAGED, TORN, cut_end, free_name, move_away
from tidelog.storage.local.file_names import segment_file_name
from tidelog.storage.local.log_state import Cut, LogPlace
from tidelog.storage.local.recovery_watch import RecoveryWatch
from tidelog.storage.local.segment import Segment
from tidelog.storage.local.segment_view import SegmentEnd
from tidelog.storage.log_settings import LogSettings

_FARTHEST = 2**31 - 1
"""Of an offset from its segment's first, which indexes hold in 32 bits."""


class SegmentRecovery(NamedTuple):
    """Of one log from its recovery ``point`` on; ``epoch`` is its latest leader epoch."""

    place: LogPlace
    point: int
    settings: LogSettings
    epoch: int
    watch: RecoveryWatch

    def run(self, segments: list[Segment], sizes: dict[str, int]) -> list[Cut]:
        """Check ``segments``; the list is shortened where one is cut beyond the recovery point."""
        first = first_to_check([segment.base_offset for segment in segments], self.point)
        rebuild_missing_indexes(segments[:first], sizes, self.watch)
        cuts: list[Cut] = []
        for number in range(first, len(segments)):
            segment = segments[number]
            following = segments[number + 1] if number + 1 < len(segments) else None
            cut = self._check(segment, following)
            try:
                segment.seal()
            except DiskFull:
                # The last one's indexes are kept in memory until there is room.
                if following is not None:
                    raise
            segment.indexes_synced = False
            if following is None:
                return [*cuts, cut] if cut is not None else cuts
            flushed = following.base_offset <= self.point
            gap = not self.settings.compact and segment.next_offset != following.base_offset
            if (cut is None and not gap) or flushed:
                segment.end = SegmentEnd(segment.size, following.base_offset)
                cuts += [] if cut is None else [self._as_damage(cut)]
                continue
            later = self._take_away(segments, number + 1)
            if cut is not None:
                cuts.append(self._as_damage(cut) if later else cut)
            return [*cuts, *later]
        return cuts

    def _take_away(self, segments: list[Segment], first: int) -> list[Cut]:
        """Segments behind what was cut belong to the log no more; those that held something."""
        later = [
            move_away(self.place, segment, DAMAGED) for segment in segments[first:] if segment.size
        ]
        for empty in (segment for segment in segments[first:] if not segment.size):
            move_away(self.place, empty, TORN)
        del segments[first:]
        return later

    def _as_damage(self, cut: Cut) -> Cut:
        """Bytes that something follows are no torn end."""
        if cut.damage:
            return cut
        renamed = free_name(self.place.disk, cut.path, cut.position, DAMAGED)
        self.place.disk.rename(cut.kept_as, renamed)
        return cut._replace(damage=True, kept_as=renamed)

    def _check(self, segment: Segment, following: Segment | None) -> Cut | None:
        """Check one segment; what had to be cut from its end, if anything."""
        size = segment.files().log.size
        position, offset = _recovery_start(segment, self.point)
        segment.end = SegmentEnd(position, offset)
        self.watch.begin(segment)
        with contextlib.suppress(CorruptBatch):
            for batch in segment.rebuild_from(position, check=True):
                self.watch.check()
                if not self._follows(batch.header, offset, segment, following):
                    segment.end = SegmentEnd(batch.position, offset)
                    break
                offset = batch.header.next_offset
        self.watch.end(size)
        return cut_end(self.place, segment, size, self.epoch) if segment.size < size else None

    def _follows(
        self, header: BatchHeader, offset: int, segment: Segment, following: Segment | None
    ) -> bool:
        """Whether a batch may stand where ``offset`` is expected: no checksum covers its offset.

        What was appended last was never compacted, and has no gaps.
        """
        if header.last_offset_delta < 0 or header.base_offset < offset:
            return False
        if following is not None:
            return header.next_offset <= following.base_offset
        if offset >= self.point > 0 or not self.settings.compact:
            return header.base_offset == offset
        return header.last_offset - segment.base_offset <= _FARTHEST


def first_to_check(base_offsets: list[int], point: int) -> int:
    """The number of the first segment that recovery from ``point`` reads again.

    Also the one that ends at the point: its indexes may have been completed later.
    """
    return max((n for n, base in enumerate(base_offsets) if base < point), default=0)


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


def rebuild_missing_indexes(
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
