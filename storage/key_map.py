"""The newest offset of each key in the part of a log that compaction has not seen yet.

Memory is bounded: once it is full, the map ends at an offset, and records from there on wait for
the next pass. A transaction's records count from its commit on; those of an aborted one never.
"""

from __future__ import annotations

from hashlib import blake2b

from tidelog.storage.batch_file import StoredBatch
from tidelog.storage.record_batch import BatchHeader, Record, decode_records

_ENTRY_BYTES = 160
"""What an entry takes beside its key: two objects and its share of the table, rounded up."""
_KEY_BYTES_MAX = 32
_DIGEST_BYTES = 40
"""Longer than any key that is kept as it is, so that a digest never equals one."""
_ABORT, _COMMIT = 0, 1

Aborted = tuple[int, int, int]
"""Producer id, first offset of the transaction, offset of its marker."""


class KeyMap:
    """Offsets below ``end_offset`` are mapped; ``add`` batches in order."""

    def __init__(self, start_offset: int, budget_bytes: int) -> None:
        self.aborted: list[Aborted] = []
        self._start_offset = start_offset
        self._next_offset = start_offset
        self._room = budget_bytes
        self._offsets: dict[bytes, int] = {}
        self._open: dict[int, list[Record]] = {}

    @property
    def end_offset(self) -> int:
        """What is known ends here, or before the first transaction that has not ended."""
        firsts = [records[0].offset for records in self._open.values() if records]
        return min([self._next_offset, *firsts])

    def add(self, batch: StoredBatch) -> bool:
        """Note a batch's keys; False if it does not fit any more. Raises CorruptBatch."""
        header = batch.header
        if header.next_offset <= self._start_offset:
            return True
        if self._room <= 0:
            return False
        records = decode_records(batch.data) if header.record_count else []
        if header.is_control:
            self._end_transaction(header, records)
        elif header.is_transactional:
            self._open.setdefault(header.producer_id, []).extend(records)
            self._room -= sum(_ENTRY_BYTES + len(record.key or b"") for record in records)
        else:
            self._note(records)
        self._next_offset = header.next_offset
        return True

    def _note(self, records: list[Record]) -> None:
        offsets = self._offsets
        for record in records:
            if record.key is None or record.offset < self._start_offset:
                continue
            key = record.key if len(record.key) <= _KEY_BYTES_MAX else _digest(record.key)
            if key not in offsets:
                self._room -= _ENTRY_BYTES + len(key)
            offsets[key] = max(record.offset, offsets.get(key, -1))

    def _end_transaction(self, header: BatchHeader, records: list[Record]) -> None:
        written = self._open.pop(header.producer_id, [])
        if not records or not written:
            return
        self._room += sum(_ENTRY_BYTES + len(record.key or b"") for record in written)
        kind = int.from_bytes((records[0].key or b"")[2:4], "big", signed=True)
        if kind == _COMMIT:
            self._note(written)
        elif kind == _ABORT:
            self.aborted.append((header.producer_id, written[0].offset, header.base_offset))

    def is_newest(self, key: bytes, offset: int) -> bool:
        """Whether no later record with this key is known."""
        if len(key) > _KEY_BYTES_MAX:
            key = _digest(key)
        return offset >= self._offsets.get(key, -1)

    def is_aborted(self, header: BatchHeader) -> bool:
        """Whether the batch belongs to a transaction that was given up."""
        return header.is_transactional and any(
            producer_id == header.producer_id and first <= header.base_offset < marker
            for producer_id, first, marker in self.aborted
        )


def _digest(key: bytes) -> bytes:
    return blake2b(key, digest_size=_DIGEST_BYTES).digest()
