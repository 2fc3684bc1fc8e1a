"""What counts of a log with transactions, compared with the plain truth: the last word per key."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidelog.broker.records.transactions import Transactions
from tidelog.storage.batches.record_batch import (
    CONTROL,
    TRANSACTIONAL,
    decode_records,
    encode_batch,
    read_header,
)

KEYS = st.lists(st.sampled_from("abc"), min_size=1)
PRODUCERS = st.integers(0, 2)
WRITES = st.tuples(
    st.just("write"), st.none() | PRODUCERS, st.lists(st.sampled_from("abc"), min_size=1)
)
ENDS = st.tuples(st.sampled_from(["commit", "abort"]), PRODUCERS, st.just([""]))


def marker(producer_id: int, kind: int, offset: int = 0) -> bytearray:
    """A transaction's end as Apache Kafka writes it: 1 commits, 0 aborts."""
    record = (1, b"\0\0" + kind.to_bytes(2, "big"), bytes(6), ())
    return encode_batch(
        [record],
        attributes=TRANSACTIONAL | CONTROL,
        producer_id=producer_id,
        producer_epoch=0,
        base_offset=offset,
    )


@given(st.lists(WRITES | ENDS, max_size=20))
def test_the_last_record_that_counts_is_the_last_of_its_key(
    steps: list[tuple[str, int | None, list[str]]],
) -> None:
    transactions = Transactions()
    said: dict[bytes | None, int] = {}
    truth: dict[bytes | None, int] = {}
    pending: dict[int, list[tuple[bytes, int]]] = {}
    offset = 0
    for what, producer, keys in steps:
        if what != "write" and producer is not None:
            batch = marker(producer, what == "commit", offset)
            ended = pending.pop(producer, [])
            for key, at in ended if what == "commit" else ():
                truth[key] = max(at, truth.get(key, -1))
        else:
            written = [(key.encode(), offset + n) for n, key in enumerate(keys)]
            batch = encode_batch(
                [(1, key, b"", ()) for key, _ in written],
                attributes=0 if producer is None else TRANSACTIONAL,
                producer_id=-1 if producer is None else producer,
                base_offset=offset,
            )
            if producer is None:
                truth.update(written)
            else:
                pending.setdefault(producer, []).extend(written)
        for record in transactions.counting(read_header(batch), decode_records(batch)):
            said[record.key] = record.offset
        assert said == truth
        offset += len(keys)


def test_marks_of_other_kinds_end_nothing() -> None:
    transactions = Transactions()
    written = encode_batch([(1, b"k", b"", ())], attributes=TRANSACTIONAL, producer_id=1)
    assert not transactions.counting(read_header(written), decode_records(written))
    other = marker(-1, 2)
    assert not transactions.counting(read_header(other), decode_records(other))
    end = marker(1, 1)
    assert len(transactions.counting(read_header(end), decode_records(end))) == 1
