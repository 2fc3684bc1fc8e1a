"""Which records count, where some were written in transactions: those of which a marker says so.

Records of a transaction wait for the control batch that ends it. Whatever was written later to the
same key stays, as compaction has it too.
"""

from __future__ import annotations

from collections.abc import Sequence

from tidelog.storage.batches.control_record import COMMIT, end_of_transaction
from tidelog.storage.batches.record import Record
from tidelog.storage.batches.record_batch import BatchHeader


class Transactions:
    """The transactions of one log that have not ended, as it is read from its start on."""

    def __init__(self) -> None:
        self._open: dict[int, list[Record]] = {}
        self._later: dict[bytes | None, int] = {}
        """While a transaction is open: the last offset of each key that counts already."""

    def counting(self, header: BatchHeader, records: Sequence[Record]) -> Sequence[Record]:
        """The records that count from this batch on, those of ended transactions before."""
        if header.is_control:
            return self._end(header.producer_id, end_of_transaction(records) == COMMIT)
        if header.is_transactional:
            self._open.setdefault(header.producer_id, []).extend(records)
            return ()
        if self._open:
            self._note(records)
        return records

    def _end(self, producer_id: int, committed: bool) -> Sequence[Record]:
        written = self._open.pop(producer_id, [])
        later = self._later
        counts = [
            record for record in written if committed and record.offset > later.get(record.key, -1)
        ]
        if self._open:
            self._note(counts)
        else:
            later.clear()
        return counts

    def _note(self, records: Sequence[Record]) -> None:
        self._later.update((record.key, record.offset) for record in records)
