"""The newest offset of each key in the part of a log that compaction has not seen yet.

Memory is bounded: once it is full, the map ends at an offset, and records from there on wait for
the next pass. A transaction's records count from its commit on; those of an aborted one never.
"""

from __future__ import annotations

from collections import defaultdict
from hashlib import blake2b

from tidelog.storage.batches.control_record import ABORT, COMMIT, end_of_transaction
from tidelog.storage.batches.record import Record
from tidelog.storage.batches.record_batch import BatchHeader, readable_records
from tidelog.storage.local.batch_file import StoredBatch

_ENTRY_BYTES = 200
"""What an entry takes with the longest key: two objects and its share of the table."""
_KEY_BYTES_MAX = 32
_DIGEST_BYTES = 40
"""Longer than any key that is kept as it is, so that a digest never equals one."""


class KeyMap:
    """Offsets below ``end_offset`` are mapped; ``add`` batches in order."""

    def __init__(self, start_offset: int, budget_bytes: int) -> None:
        self._aborted: defaultdict[int, list[range]] = defaultdict(list)
        self._start_offset = start_offset
        self._next_offset = start_offset
        self._entries_max = budget_bytes // _ENTRY_BYTES
        self._offsets: dict[bytes, int] = {}
        self._open: dict[int, list[Record]] = {}
        self._open_records = 0

    @property
    def end_offset(self) -> int:
        """What is known ends here, or before the first transaction that has not ended."""
        firsts = [records[0].offset for records in self._open.values() if records]
        return min([self._next_offset, *firsts])

    def add(self, batch: StoredBatch) -> bool:
        """Note a batch's keys, none of one that cannot be read; False if it does not fit."""
        header = batch.header
        if header.next_offset <= self._start_offset:
            return True
        if len(self._offsets) + self._open_records >= self._entries_max:
            return False
        records = (readable_records(batch.data) if header.record_count else None) or []
        if header.is_control:
            self._end_transaction(header, records)
        elif header.is_transactional:
            self._open.setdefault(header.producer_id, []).extend(records)
            self._open_records += len(records)
        else:
            self._note(records)
        self._next_offset = header.next_offset
        return True

    def _note(self, records: list[Record]) -> None:
        """Each record is newer than what is known of its key."""
        offsets, start_offset = self._offsets, self._start_offset
        for record in records:
            key = record.key
            if key is None or record.offset < start_offset:
                continue
            if len(key) > _KEY_BYTES_MAX:
                key = _digest(key)
            offsets[key] = record.offset

    def _end_transaction(self, header: BatchHeader, records: list[Record]) -> None:
        written = self._open.pop(header.producer_id, [])
        self._open_records -= len(written)
        if not records or not written:
            return
        kind = end_of_transaction(records)
        if kind == COMMIT:
            newer = [one for one in written if self.is_newest(one.key or b"", one.offset)]
            self._note(newer)
        elif kind == ABORT:
            offsets = range(written[0].offset, header.base_offset)
            self._aborted[header.producer_id].append(offsets)

    def is_newest(self, key: bytes, offset: int) -> bool:
        """Whether no later record with this key is known."""
        if len(key) > _KEY_BYTES_MAX:
            key = _digest(key)
        return offset >= self._offsets.get(key, -1)

    def is_aborted(self, header: BatchHeader) -> bool:
        """Whether the batch belongs to a transaction that was given up."""
        return header.is_transactional and any(
            header.base_offset in offsets for offsets in self._aborted.get(header.producer_id, ())
        )


def _digest(key: bytes) -> bytes:
    return blake2b(key, digest_size=_DIGEST_BYTES).digest()
