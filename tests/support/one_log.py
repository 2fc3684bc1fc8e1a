"""One log in a directory of its own, to be opened and broken by tests."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support.faulty_disk import FaultyDisk
from tidelog.storage.batches.record import Record
from tidelog.storage.batches.record_batch import batches, decode_records, encode_batch
from tidelog.storage.local.log import Log
from tidelog.storage.local.log_state import AppendResult, LogPlace
from tidelog.storage.local.open_segments import OpenSegments
from tidelog.storage.local.recovery import LastKnown, create_log, open_log
from tidelog.storage.local.recovery_watch import RecoveryWatch
from tidelog.storage.log_settings import LogSettings

NOW = 1_700_000_000_000
TOPIC_ID = uuid.UUID(int=99)


class OneLog:
    """``log`` is open; ``directory`` holds its files."""

    def __init__(self, root: Path, *, open_files: int = 256, **settings: Any) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self.directory = root / "orders-3"
        self.disk = FaultyDisk(root)
        self.settings = replace(
            LogSettings(segment_bytes=4000, index_interval_bytes=300), **settings
        )
        self._open_files = open_files
        self.log: Log = create_log(self._place(), TOPIC_ID, self.settings)

    def _place(self) -> LogPlace:
        opened = OpenSegments(self._open_files)
        return LogPlace(self.disk, str(self.directory), "orders", 3, opened)

    def append(self, *values: bytes, timestamp: int = NOW, **how: Any) -> AppendResult:
        """Append one batch with a record for each value."""
        records = [(timestamp, b"key", value, ()) for value in values]
        return self.log.append(encode_batch(records, **how), timestamp)

    def fill(self, count: int, value_bytes: int = 100) -> None:
        """Append that many batches of one record; values and times tell the offset."""
        for _ in range(count):
            offset = self.log.end_offset
            self.append(b"%08d" % offset + bytes(value_bytes), timestamp=NOW + offset)

    def flush(self) -> None:
        """Make everything durable."""
        flush = self.log.begin_flush()
        if flush is not None:
            flush.run()
            self.log.flushed(flush)

    def stop(self) -> None:
        """Close the log in order."""
        self.log.close()

    def start(
        self,
        *,
        clean: bool = False,
        recovery_point: int | None = None,
        start_offset: int | None = None,
        end_position: int | None = None,
    ) -> Log:
        """Open the directory as it is now; ``self.watch`` has what there is to tell."""
        if clean and recovery_point is None:
            recovery_point = self.log.end_offset
        self.disk = FaultyDisk(self.root)
        known = LastKnown(recovery_point, start_offset, clean, end_position)
        self.watch = RecoveryWatch()
        self.log = open_log(self._place(), self.settings, known, NOW, self.watch)
        return self.log

    def file(self, base_offset: int, suffix: str = ".log") -> Path:
        """A file of the segment at ``base_offset``."""
        return self.directory / f"{base_offset:020d}{suffix}"

    def files(self) -> dict[str, bytes]:
        """Every file's content by name."""
        return {path.name: path.read_bytes() for path in sorted(self.directory.iterdir())}

    def records(self, offset: int | None = None) -> list[Record]:
        """Everything readable."""
        log = self.log
        offset = log.start_offset if offset is None else offset
        found: list[Record] = []
        first = offset
        while offset < log.end_offset:
            read = log.read(offset, 1000, wait=True)
            for position, _ in batches(read.data):
                found += decode_records(read.data, position=position)
            offset = read.next_offset
        return [record for record in found if record.offset >= first]

    def offsets(self) -> list[int]:
        """The offsets of everything readable, in order; values made by ``fill`` must agree."""
        records = self.records()
        for record in records:
            assert record.value is not None
            assert int(record.value[:8]) == record.offset
        return [record.offset for record in records]
