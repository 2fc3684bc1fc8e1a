"""The process that compacts; ``compaction_process`` starts it, with the bytes it may move a second.

Reads jobs from its standard input, one JSON object a line, and answers each with lines on its
standard output: ``{"cleaned": [...]}`` for every new segment, then ``{"cleaned_offset": n}``, or
``{"error": "...", "damaged": ...}``. Ends with its input, in the middle of a job too: who asked is
gone then. It imports nothing but storage, to start quickly, and leaves the processor to the broker.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from typing import Any

from tidelog.storage.compaction.cleaner import Cleaner, CleaningJob, Source
from tidelog.storage.errors import CorruptBatch, StorageError
from tidelog.storage.files import Disk

_NICENESS = 10
_SLEEP_MIN_S = 0.01
_CHECK_BYTES = 256 * 1024


class Budget:
    """Keeps what is read and written below a rate, and notices when the broker is gone."""

    def __init__(self, bytes_per_second: float) -> None:
        self._bytes_per_second = bytes_per_second
        self._start_s = time.monotonic()
        self._bytes = 0
        self._checked_bytes = 0

    def charge(self, size: int) -> None:
        """Wait until ``size`` more bytes may pass."""
        self._bytes += size
        if self._bytes - self._checked_bytes < _CHECK_BYTES:
            return
        self._checked_bytes = self._bytes
        ahead_s = self._bytes / self._bytes_per_second - (time.monotonic() - self._start_s)
        wait_s = ahead_s if ahead_s > _SLEEP_MIN_S else 0
        if select.select([sys.stdin], [], [], wait_s)[0]:
            raise SystemExit("the broker is gone")


def _job(fields: dict[str, Any]) -> CleaningJob:
    sources = [Source(*source) for source in fields.pop("sources")]
    last_offsets = [(producer_id, offset) for producer_id, offset in fields.pop("last_offsets")]
    return CleaningJob(sources=sources, last_offsets=last_offsets, **fields)


def _answer(**answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    os.nice(_NICENESS)
    bytes_per_second = float(sys.argv[1])
    while line := sys.stdin.buffer.readline():
        cleaner = Cleaner(_job(json.loads(line)), Disk(), Budget(bytes_per_second).charge)
        try:
            for cleaned in cleaner.clean():
                _answer(cleaned=cleaned)
        except (StorageError, OSError) as error:
            _answer(error=str(error), damaged=isinstance(error, CorruptBatch))
        else:
            _answer(cleaned_offset=cleaner.cleaned_offset)
