"""Compaction of one log in this process, step by step, with the power cut at any of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.faulty_disk import FaultyDisk
from tidelog.storage.compaction.cleaner import Cleaner, CleaningJob, Source
from tidelog.storage.compaction.planning import CompactionPlan, plan_compaction
from tidelog.storage.local import segment_swap
from tidelog.storage.local.log import Log


class PowerCut(BaseException):
    """Nothing more reaches the disk."""


class CuttingDisk(FaultyDisk):
    """A faulty disk whose power is cut before the change of names number ``changes_left``."""

    changes_left: int | None = None

    def _count(self) -> None:
        if self.changes_left is not None:
            if self.changes_left == 0:
                raise PowerCut
            self.changes_left -= 1

    def rename(self, old: str, new: str) -> None:
        self._count()
        super().rename(old, new)

    def remove(self, path: str) -> None:
        self._count()
        super().remove(path)

    def sync_directory(self, path: str) -> None:
        self._count()
        super().sync_directory(path)


def plan(log: Log, now_ms: int) -> CompactionPlan:
    """What a pass would do now."""
    return plan_compaction(
        log.segment_infos(),
        log.settings,
        cleaned_offset=log.cleaned_offset,
        start_offset=log.start_offset,
        stable_offset=log.flushed_offset,
        now_ms=now_ms,
    )


def cleaning_job(log: Log, now_ms: int, **other: Any) -> CleaningJob:
    """A pass over everything that may be compacted, whether it is due or not."""
    found = plan(log, now_ms)
    sources = [
        Source(segment.base_offset, segment.next_offset, segment.size)
        for segment in log.segments
        if segment.base_offset in found.segments
    ]
    settings = log.settings
    job = CleaningJob(
        directory=log.place.directory,
        sources=sources,
        cleaned_offset=found.cleaned_offset,
        last_offsets=[(id, p.batches[-1].last_offset) for id, p in log.producers.items()],
        segment_bytes=settings.segment_bytes,
        index_interval_bytes=settings.index_interval_bytes,
        delete_retention_ms=settings.delete_retention_ms,
        key_map_bytes=2**20,
        now_ms=now_ms,
    )
    return job._replace(**other)


def compact(
    log: Log, now_ms: int, *, charge: Callable[[int], None] = lambda size: None, **other: Any
) -> list[str]:
    """One pass, new segments swapped in as they come; the files to remove later."""
    disk, directory = log.place.disk, log.place.directory
    cleaner = Cleaner(cleaning_job(log, now_ms, **other), disk, charge)
    doomed: list[str] = []
    for cleaned in cleaner.clean():
        old = segment_swap.replaced_by(log, cleaned)
        assert old
        segment_swap.offer(disk, directory, cleaned, old)
        doomed += segment_swap.swap(log, cleaned, old)
        disk.sync_directory(directory)
    log.cleaned_offset = cleaner.cleaned_offset
    return doomed
