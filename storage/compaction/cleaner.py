"""One compaction pass over a log: reads sealed segments, writes what stays into new ones.

Touches nothing that belongs to the log: new segments lie beside it until somebody swaps them in,
one after the other, oldest first. Small ones are gathered into one of up to ``segment_bytes``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tidelog.storage.batches.batch_rewriting import with_records, without_records
from tidelog.storage.batches.record_batch import readable_records
from tidelog.storage.buffers import Buffer
from tidelog.storage.compaction.key_map import KeyMap
from tidelog.storage.compaction.planning import KeepRules
from tidelog.storage.errors import CorruptBatch
from tidelog.storage.files import Disk, join
from tidelog.storage.local import file_names
from tidelog.storage.local.batch_file import StoredBatch, scan
from tidelog.storage.local.cleaned_segment import Cleaned, CleanedSegment
from tidelog.storage.local.file_names import segment_file_name

_OFFSETS_MAX = 0x7FFFFFFF
"""How far an offset may lie from its segment's base."""

Charge = Callable[[int], None]
"""Told of bytes before they are read or written; may wait."""


class Source(NamedTuple):
    """A sealed segment to read."""

    base_offset: int
    next_offset: int
    bytes: int


class CleaningJob(NamedTuple):
    """A pass: the segments from the start of the log on, and the rules for it.

    ``last_offsets`` are pairs of producer id and the offset of its last record.
    """

    directory: str
    sources: Sequence[Source]
    cleaned_offset: int
    last_offsets: Sequence[tuple[int, int]]
    segment_bytes: int
    index_interval_bytes: int
    delete_retention_ms: int
    key_map_bytes: int
    now_ms: int


class Cleaner:
    """``clean`` once; ``cleaned_offset`` then says up to where the log is clean."""

    def __init__(self, job: CleaningJob, disk: Disk, charge: Charge) -> None:
        self.cleaned_offset = job.cleaned_offset
        self._job = job
        self._disk = disk
        self._charge = charge

    def clean(self) -> Iterator[Cleaned]:
        """Each new segment as it is ready to be swapped in.

        Raises CorruptBatch, DiskFull, WritesStopped, and FileNotFoundError when retention has
        taken a segment meanwhile; what was not handed out is removed then.
        """
        job = self._job
        keys = self._read_keys()
        if keys.end_offset <= job.cleaned_offset:
            return
        rules = KeepRules(keys, dict(job.last_offsets), job.delete_retention_ms, job.now_ms)
        output: CleanedSegment | None = None
        try:
            for source in job.sources:
                if source.base_offset >= keys.end_offset:
                    break
                if output is not None and not self._fits(source, output):
                    yield from output.finish()
                    output = None
                output = output or CleanedSegment(
                    self._disk, job.directory, source.base_offset, job.index_interval_bytes
                )
                self._rewrite(source, rules, output)
            if output is not None:
                yield from output.finish()
        except Exception:
            if output is not None:
                output.abandon()
            raise
        self.cleaned_offset = keys.end_offset

    def _scan(self, source: Source) -> Iterator[StoredBatch]:
        path = join(self._job.directory, segment_file_name(source.base_offset, file_names.LOG))
        for batch in scan(self._disk.open(path, create=False), 0, source.bytes, check=True):
            self._charge(batch.header.size)
            yield batch

    def _read_keys(self) -> KeyMap:
        """Map what is dirty, as far as memory goes."""
        keys = KeyMap(self._job.cleaned_offset, self._job.key_map_bytes)
        for source in self._job.sources:
            if source.next_offset > self._job.cleaned_offset:
                for batch in self._scan(source):
                    if not keys.add(batch):
                        return keys
        return keys

    def _fits(self, source: Source, output: CleanedSegment) -> bool:
        """Whether what stays of a source surely fits the new segment beside what it holds."""
        if source.next_offset - output.base_offset > _OFFSETS_MAX:
            return False
        return not output.records or output.size + source.bytes <= self._job.segment_bytes

    def _rewrite(self, source: Source, rules: KeepRules, output: CleanedSegment) -> None:
        output.add_source(source.bytes)
        for batch in self._scan(source):
            written = _what_stays(batch, rules)
            if written is None:
                output.skip(batch.header)
                continue
            self._charge(len(written))
            output.keep(written, unchanged=written is batch.data)


def _what_stays(batch: StoredBatch, rules: KeepRules) -> Buffer | None:
    """A batch's bytes after the pass; None for none.

    One that cannot be read stays as it is: nobody knows what is in it.
    """
    header = batch.header
    records = readable_records(batch.data) if header.record_count else []
    kept = rules.keep(header, records or [])
    if records is None:
        return batch.data
    if not kept.records:
        return without_records(header) if kept.as_header else None
    if len(kept.records) == len(records) and kept.horizon_ms is None:
        return batch.data
    try:
        return with_records(batch.data, header, kept.records, kept.horizon_ms)
    except CorruptBatch:
        return batch.data
