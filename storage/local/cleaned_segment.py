"""The segment that compaction writes in place of others, under names that end in ``.cleaned``.

Its last batch ends where the last batch of its sources ended, if only as a header: so it is known
from the file alone which segments it stands for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tidelog.storage.batches.batch_rewriting import without_records
from tidelog.storage.batches.record_batch import BatchHeader, read_header
from tidelog.storage.buffers import Buffer
from tidelog.storage.files import Disk, File, join
from tidelog.storage.local import file_names
from tidelog.storage.local.file_names import segment_file_name
from tidelog.storage.local.offset_index import OffsetIndex
from tidelog.storage.local.time_index import TimeIndex

_WRITE_BYTES = 1024 * 1024


class Cleaned(NamedTuple):
    """A finished one: durable, not part of the log yet; ``source_bytes`` is what it replaces."""

    base_offset: int
    next_offset: int
    bytes: int
    source_bytes: int


class CleanedSegment:
    """Takes batches in order of offset: ``keep`` or ``skip`` each, then ``finish``."""

    def __init__(self, disk: Disk, directory: str, base_offset: int, interval_bytes: int) -> None:
        self.base_offset = base_offset
        self.next_offset = base_offset
        self.records = 0
        self._sources = 0
        self._source_bytes = 0
        self._changed = False
        self._disk = disk
        self._directory = directory
        self._interval_bytes = interval_bytes
        self._since_entry = 0
        self._largest = -1, base_offset
        self._offset_index = OffsetIndex(base_offset)
        self._time_index = TimeIndex(base_offset)
        self._skipped: BatchHeader | None = None
        self._pending = bytearray()
        self._log = self._new_file(file_names.LOG)

    def _new_file(self, suffix: str) -> File:
        name = segment_file_name(self.base_offset, suffix + file_names.CLEANED)
        path = join(self._directory, name)
        self._disk.remove(path)
        return self._disk.open(path)

    @property
    def size(self) -> int:
        """Bytes of the batches so far."""
        return self._log.size + len(self._pending)

    def add_source(self, size: int) -> None:
        """Note that the batches of a segment of ``size`` bytes follow."""
        self._sources += 1
        self._source_bytes += size

    def keep(self, batch: Buffer, *, unchanged: bool) -> None:
        """Write a batch, which may be ``unchanged``. Raises DiskFull, WritesStopped."""
        header = read_header(batch)
        self._skipped = None
        self._changed = self._changed or not unchanged
        if header.record_count and header.max_timestamp > self._largest[0]:
            self._largest = header.max_timestamp, header.last_offset
        if self._since_entry > self._interval_bytes:
            self._offset_index.append(header.last_offset, self.size)
            if self._largest[0] >= 0:
                self._time_index.maybe_append(*self._largest)
            self._since_entry = 0
        self._since_entry += len(batch)
        self._pending += batch
        self.next_offset = header.next_offset
        self.records += header.record_count
        if len(self._pending) >= _WRITE_BYTES:
            self._write()

    def skip(self, header: BatchHeader) -> None:
        """Leave a batch out; where it is the last it stays as a header."""
        self._skipped = header
        self._changed = True

    def _write(self) -> None:
        self._log.append(self._pending)
        self._pending = bytearray()

    def finish(self) -> Iterator[Cleaned]:
        """Write the rest and make everything durable; nothing where there is nothing to change.

        Raises DiskFull, WritesStopped, OSError.
        """
        if self._sources == 1 and not self._changed:
            self.abandon()
            return
        if self._skipped is not None:
            self.keep(without_records(self._skipped), unchanged=False)
        self._write()
        self._log.sync()
        if self._largest[0] >= 0:
            self._time_index.maybe_append(*self._largest)
        for suffix, content in (
            (file_names.OFFSET_INDEX, self._offset_index.encode_from(0)),
            (file_names.TIME_INDEX, self._time_index.encode_from(0)),
        ):
            file = self._new_file(suffix)
            file.append(content)
            file.sync()
        yield Cleaned(self.base_offset, self.next_offset, self.size, self._source_bytes)

    def abandon(self) -> None:
        """Remove what was written."""
        for suffix in (file_names.LOG, file_names.OFFSET_INDEX, file_names.TIME_INDEX):
            name = segment_file_name(self.base_offset, suffix + file_names.CLEANED)
            self._disk.remove(join(self._directory, name))
