"""What the one record of a control batch says: the end of its producer's transaction.

Apache Kafka's ``EndTransactionMarker.java`` defines it (big-endian)::

    key    version int16, type int16: 0 aborted, 1 committed
    value  version int16, epoch of the transaction coordinator int32

Later types (of KRaft's own logs) are no ends of transactions.
"""

from __future__ import annotations

from collections.abc import Sequence

from tidelog.storage.batches.record import Record

ABORT = 0
COMMIT = 1


def end_of_transaction(records: Sequence[Record]) -> int | None:
    """ABORT or COMMIT, the type of what else the records of a control batch say, or None."""
    key = records[0].key if records else None
    if key is None or len(key) < 4:
        return None
    return int.from_bytes(key[2:4], "big", signed=True)
