"""Idempotence: repeats are recognised, gaps refused, old epochs fenced."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.one_log import OneLog
from tidelog.storage.batches.record_batch import BatchHeader, encode_batch, read_header
from tidelog.storage.errors import InvalidProducerEpoch, InvalidRecord, OutOfOrderSequence
from tidelog.storage.local.producer_state import ProducerState

LAST = 2**31 - 1


def header(sequence: int, count: int = 1, *, epoch: int = 0, producer_id: int = 7) -> BatchHeader:
    batch = encode_batch(
        [(0, None, None, ())] * count,
        producer_id=producer_id,
        producer_epoch=epoch,
        base_sequence=sequence,
    )
    return read_header(batch)


class Sender:
    """Appends to a state as a log would."""

    def __init__(self) -> None:
        self.state = ProducerState()
        self.end_offset = 0

    def send(self, sequence: int, count: int = 1, *, epoch: int = 0) -> tuple[int, bool]:
        """The base offset, and whether it was a repeat."""
        sent = header(sequence, count, epoch=epoch)
        repeated = self.state.check(sent)
        if repeated is not None:
            return repeated.base_offset, True
        self.state.note(sent, self.end_offset, 1000)
        self.end_offset += count
        return self.end_offset - count, False


@pytest.fixture
def sender() -> Sender:
    return Sender()


def test_the_last_five_batches_are_recognised(sender: Sender) -> None:
    for number in range(8):
        assert sender.send(number * 3, 3) == (number * 3, False)
    for number in range(3, 8):
        assert sender.send(number * 3, 3) == (number * 3, True)
    with pytest.raises(OutOfOrderSequence) as caught:
        sender.send(2 * 3, 3)
    assert (caught.value.expected, caught.value.got) == (24, 6)
    assert sender.send(24) == (24, False)


def test_a_part_of_a_batch_is_no_repeat(sender: Sender) -> None:
    sender.send(0, 3)
    for sequence, count in ((0, 2), (1, 2), (0, 4)):
        with pytest.raises(OutOfOrderSequence):
            sender.send(sequence, count)


def test_a_gap_is_refused(sender: Sender) -> None:
    sender.send(0, 2)
    with pytest.raises(OutOfOrderSequence) as caught:
        sender.send(3)
    error = caught.value
    assert (error.producer_id, error.epoch, error.expected, error.got) == (7, 0, 2, 3)


def test_an_unknown_producer_may_begin_anywhere(sender: Sender) -> None:
    assert sender.send(500) == (0, False)
    assert sender.send(501) == (1, False)


def test_sequences_wrap_to_zero(sender: Sender) -> None:
    sender.send(LAST - 1, 2)
    assert sender.send(0) == (2, False)
    other = Sender()
    other.send(LAST, 3)
    assert other.send(LAST, 3) == (0, True)
    assert other.send(2) == (3, False)


def test_a_new_epoch_begins_at_zero_and_fences_the_old(sender: Sender) -> None:
    sender.send(0)
    sender.send(1)
    with pytest.raises(OutOfOrderSequence):
        sender.send(2, epoch=1)
    assert sender.send(0, epoch=1) == (2, False)
    with pytest.raises(InvalidProducerEpoch) as caught:
        sender.send(2, epoch=0)
    assert (caught.value.epoch, caught.value.current) == (0, 1)
    assert sender.send(0, epoch=1) == (2, True)


def test_producers_are_independent() -> None:
    state = ProducerState()
    state.note(header(0, producer_id=1), 0, 10)
    assert state.check(header(50, producer_id=2)) is None
    with pytest.raises(OutOfOrderSequence):
        state.check(header(50, producer_id=1))


def test_idle_producers_are_forgotten() -> None:
    state = ProducerState()
    state.note(header(0, producer_id=1), 0, 1000)
    state.note(header(0, producer_id=2), 1, 2000)
    state.expire(2000)
    assert [producer_id for producer_id, _ in state.items()] == [2]


@given(
    producers=st.dictionaries(
        st.integers(0, 2**63 - 1),
        st.tuples(
            st.integers(0, 2**15 - 1),
            st.integers(0, LAST),
            st.lists(st.integers(1, 9), min_size=1, max_size=7),
        ),
        max_size=20,
    )
)
def test_a_snapshot_brings_every_remembered_batch_back(
    producers: dict[int, tuple[int, int, list[int]]],
) -> None:
    state = ProducerState()
    for number, (producer_id, (epoch, sequence, counts)) in enumerate(producers.items()):
        for count in counts:
            sent = header(sequence, count, epoch=epoch, producer_id=producer_id)
            state.note(sent, number * 10, number)
            sequence = (sequence + count) & LAST
    copy = ProducerState.decode_snapshot(state.encode_snapshot())
    assert [producer_id for producer_id, _ in copy.items()] == list(producers)
    for (_, before), (_, after) in zip(state.items(), copy.items(), strict=True):
        assert (after.epoch, after.seen_ms) == (before.epoch, before.seen_ms)
        assert after.batches == before.batches
    assert copy.encode_snapshot() == state.encode_snapshot()


@given(data=st.binary(max_size=120))
def test_what_is_no_snapshot_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="snapshot"):
        ProducerState.decode_snapshot(data)


def test_a_cut_or_damaged_snapshot_is_refused() -> None:
    state = ProducerState()
    state.note(header(0), 0, 5)
    data = state.encode_snapshot()
    for keep in range(len(data)):
        with pytest.raises(ValueError, match="snapshot"):
            ProducerState.decode_snapshot(data[:keep])
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 1
        with pytest.raises(ValueError, match="snapshot"):
            ProducerState.decode_snapshot(bytes(damaged))


# In a log


def test_a_repeat_is_answered_with_the_offsets_of_the_first_time(tmp_path: Path) -> None:
    one = OneLog(tmp_path)
    sent = {"producer_id": 7, "producer_epoch": 0}
    first = one.append(b"a", b"b", base_sequence=0, **sent)
    one.append(b"other")
    size = one.log.size_bytes
    again = one.append(b"a", b"b", base_sequence=0, **sent)
    assert again.duplicate
    assert (again.base_offset, again.last_offset) == (first.base_offset, first.last_offset)
    assert one.log.size_bytes == size


def test_one_batch_at_a_time(tmp_path: Path) -> None:
    one = OneLog(tmp_path)
    batch = encode_batch([(0, None, b"x", ())], producer_id=7, producer_epoch=0, base_sequence=0)
    with pytest.raises(InvalidRecord):
        one.log.append(batch + batch, 0)
    assert one.log.end_offset == 0


def test_a_refused_append_leaves_the_state_as_it_was(tmp_path: Path) -> None:
    one = OneLog(tmp_path)
    sent = {"producer_id": 7, "producer_epoch": 0}
    one.append(b"a", base_sequence=0, **sent)
    with pytest.raises(OutOfOrderSequence):
        one.append(b"c", base_sequence=2, **sent)
    assert not one.append(b"b", base_sequence=1, **sent).duplicate


def test_a_snapshot_that_would_outlive_a_power_cut_always_stays(tmp_path: Path) -> None:
    one = OneLog(tmp_path)
    for sequence in range(6):
        one.append(b"x", producer_id=7, producer_epoch=0, base_sequence=sequence)
        one.log.roll()
        if sequence == 1:
            one.flush()
    kept = sorted(int(path.stem) for path in one.directory.glob("*.snapshot"))
    assert kept == [2, 3, 4, 5, 6]
    one.flush()
    one.append(b"x", producer_id=7, producer_epoch=0, base_sequence=6)
    one.log.roll()
    kept = sorted(int(path.stem) for path in one.directory.glob("*.snapshot"))
    assert kept == [6, 7]
