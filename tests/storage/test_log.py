"""A log of one partition: what it accepts, when it rolls, how it finds offsets and times."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.one_log import NOW, OneLog
from tests.support.segment_files import check_indexes, read_offset_index, walk_log
from tidelog.storage.batches.record_batch import encode_batch, read_header
from tidelog.storage.errors import (
    BatchTooLarge,
    CorruptBatch,
    InvalidRecord,
    InvalidTimestamp,
    OffsetOutOfRange,
)


@pytest.fixture
def one(tmp_path: Path) -> OneLog:
    return OneLog(tmp_path)


def bases(one: OneLog) -> list[int]:
    return [segment.base_offset for segment in one.log.segments]


# Append


def test_offsets_are_consecutive_and_told(one: OneLog) -> None:
    first = one.append(b"a", b"b", b"c")
    second = one.append(b"d")
    assert (first.base_offset, first.last_offset, first.duplicate) == (0, 2, False)
    assert (second.base_offset, second.last_offset) == (3, 3)
    assert first.log_append_time_ms == -1
    assert [record.value for record in one.records()] == [b"a", b"b", b"c", b"d"]


def test_several_batches_are_appended_together(one: OneLog) -> None:
    data = encode_batch([(NOW, None, b"a", ())] * 3) + encode_batch([(NOW, None, b"b", ())])
    result = one.log.append(data, NOW)
    assert (result.base_offset, result.last_offset) == (0, 3)
    assert [batch.base_offset for batch in walk_log(one.file(0))] == [0, 3]
    # The caller's buffer was stamped in place.
    assert read_header(data).leader_epoch == 0


def test_all_batches_of_an_append_or_none(one: OneLog) -> None:
    good, bad = encode_batch([(NOW, None, b"a", ())]), encode_batch([(NOW, None, b"b", ())])
    bad[-1] ^= 1
    with pytest.raises(CorruptBatch):
        one.log.append(good + bad, NOW)
    assert one.log.end_offset == 0
    assert one.file(0).stat().st_size == 0


def test_the_brokers_time_replaces_the_records(tmp_path: Path) -> None:
    one = OneLog(tmp_path, timestamp_type="LogAppendTime")
    result = one.log.append(encode_batch([(5, None, b"a", ()), (9, None, b"b", ())]), NOW)
    assert result.log_append_time_ms == NOW
    assert [record.timestamp for record in one.records()] == [NOW, NOW]
    assert one.log.offset_for_timestamp(NOW) == (0, NOW)
    assert one.start().end_offset == 2


def test_a_batch_larger_than_allowed_is_refused(tmp_path: Path) -> None:
    one = OneLog(tmp_path, max_message_bytes=200)
    with pytest.raises(BatchTooLarge) as caught:
        one.append(bytes(200))
    assert caught.value.limit == 200
    assert caught.value.size > 200
    one.append(bytes(100))
    assert one.log.end_offset == 1


@pytest.mark.parametrize(("behind_ms", "ahead_ms"), [(1001, 0), (0, 501)])
def test_a_time_too_far_from_the_brokers_is_refused(
    tmp_path: Path, behind_ms: int, ahead_ms: int
) -> None:
    one = OneLog(tmp_path, timestamp_before_max_ms=1000, timestamp_after_max_ms=500)
    one.append(b"ok")
    records = [(NOW - behind_ms, None, b"x", ()), (NOW + ahead_ms, None, b"x", ())]
    with pytest.raises(InvalidTimestamp) as caught:
        one.log.append(encode_batch(records), NOW)
    assert caught.value.now_ms == NOW
    limits = [(NOW - 1000, None, b"x", ()), (NOW + 500, None, b"x", ())]
    assert one.log.append(encode_batch(limits), NOW).last_offset == 2


def test_a_compacted_topic_needs_keys(tmp_path: Path) -> None:
    one = OneLog(tmp_path, compact=True)
    keyless = encode_batch([(NOW, b"k", b"x", ()), (NOW, None, b"x", ())], codec=4)
    with pytest.raises(InvalidRecord) as caught:
        one.log.append(keyless, NOW)
    assert caught.value.indexes == (1,)
    one.append(b"x")


# Roll


def test_a_segment_ends_before_it_would_pass_its_size(one: OneLog) -> None:
    one.fill(100)
    assert len(bases(one)) > 3
    for base in bases(one):
        assert one.file(base).stat().st_size <= one.settings.segment_bytes
    sizes = [one.file(base).stat().st_size for base in bases(one)[:-1]]
    batch = len(walk_log(one.file(0))[0].data)
    assert all(size + batch > one.settings.segment_bytes for size in sizes)
    assert one.offsets() == list(range(100))


def test_a_segment_ends_by_the_time_of_records(tmp_path: Path) -> None:
    one = OneLog(tmp_path, segment_ms=1000)
    for time in (0, 900, 1000, 1001, 1900, 2001, 2002, 500):
        one.append(b"x", timestamp=NOW + time)
    times = [[batch.max_timestamp - NOW for batch in walk_log(one.file(b))] for b in bases(one)]
    assert times == [[0, 900, 1000], [1001, 1900, 2001], [2002, 500]]


def test_loading_old_data_does_not_roll_at_every_append(tmp_path: Path) -> None:
    one = OneLog(tmp_path, segment_ms=1000)
    for number in range(20):
        one.append(b"x", timestamp=1_000_000 + number)
    assert bases(one) == [0]


def test_rolling_an_empty_segment_does_nothing(one: OneLog) -> None:
    one.log.roll()
    one.fill(1)
    one.log.roll()
    one.log.roll()
    assert bases(one) == [0, 1]


# Indexes


def test_an_entry_follows_every_interval(one: OneLog) -> None:
    one.fill(200)
    one.stop()
    for base in bases(one):
        expected, since = [], 0
        for batch in walk_log(one.file(base)):
            if since > one.settings.index_interval_bytes:
                expected.append((batch.last_offset, batch.position))
                since = 0
            since += len(batch.data)
        assert read_offset_index(one.file(base, ".index")) == expected
        check_indexes(one.file(base), complete=True)


@given(times=st.lists(st.integers(0, 50), min_size=1, max_size=40))
def test_indexes_are_right_whatever_the_order_of_times(
    tmp_path_factory: pytest.TempPathFactory, times: list[int]
) -> None:
    one = OneLog(tmp_path_factory.mktemp("log"), index_interval_bytes=100, segment_bytes=700)
    for time in times:
        one.append(b"x" * (time % 7), timestamp=NOW + time)
    one.stop()
    for base in bases(one):
        check_indexes(one.file(base), complete=True)
    for wanted in range(-1, 52):
        expected = next(
            ((offset, NOW + time) for offset, time in enumerate(times) if time >= wanted), None
        )
        assert one.log.offset_for_timestamp(NOW + wanted) == expected
    largest = max(times)
    assert one.log.offset_of_largest_timestamp() == (times.index(largest), NOW + largest)


def test_a_lookup_reads_little_however_long_the_log(tmp_path: Path) -> None:
    one = OneLog(tmp_path, segment_bytes=200_000)
    one.fill(3000)
    one.stop()
    one.start(clean=True)
    for offset in (0, 17, 1499, 2998):
        one.disk.read_bytes_by_path.clear()
        found = one.log.read(offset, 1, wait=True)
        assert read_header(found.data).base_offset == offset
        assert sum(one.disk.read_bytes_by_path.values()) < 3 * one.settings.index_interval_bytes
        one.disk.read_bytes_by_path.clear()
        assert one.log.offset_for_timestamp(NOW + offset) == (offset, NOW + offset)
        assert len(one.disk.read_bytes_by_path) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="open files are counted in /proc")
def test_sealed_segments_are_opened_on_demand_and_few_at_once(tmp_path: Path) -> None:
    one = OneLog(tmp_path, segment_bytes=400, open_files=3)
    one.fill(100)
    one.flush()
    one.stop()
    one.start(clean=True)
    assert open_logs(one) <= {one.file(bases(one)[-1])}
    for offset in (*range(100), *range(99, -1, -7)):
        found = one.log.read(offset, 1, wait=True)
        assert read_header(found.data).base_offset == offset
    assert len(open_logs(one)) <= 4
    assert len(one.log.segment_infos()) > 30
    assert len(open_logs(one)) <= 4
    assert one.log.offset_for_timestamp(NOW + 70) == (70, NOW + 70)
    assert one.log.offset_of_largest_timestamp() == (99, NOW + 99)
    assert len(open_logs(one)) <= 4


def open_logs(one: OneLog) -> set[Path]:
    """The log files that this process holds open."""
    held = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            path = descriptor.readlink()
            if path.parent == one.directory and path.suffix == ".log":
                held.add(path)
    return held


# Read


def test_a_read_makes_progress_whatever_the_limit(tmp_path: Path) -> None:
    one = OneLog(tmp_path, segment_bytes=100_000)
    one.append(bytes(50_000))
    one.append(b"small")
    for limit in (0, 1, 100, 49_999):
        found = one.log.read(0, limit, wait=True)
        assert found.next_offset == 1
        assert len(found.data) > 50_000


def test_an_offset_inside_a_batch_gives_the_whole_batch(one: OneLog) -> None:
    one.append(b"a", b"b", b"c")
    one.append(b"d")
    for offset in (0, 1, 2):
        found = one.log.read(offset, 1, wait=True)
        assert read_header(found.data).base_offset == 0
        assert found.next_offset == 3


def test_the_end_is_readable_and_empty(one: OneLog) -> None:
    one.fill(2)
    found = one.log.read(2, 100, wait=True)
    assert (len(found.data), found.next_offset) == (0, 2)


def test_what_is_out_of_range_is_told_with_the_range(one: OneLog) -> None:
    one.fill(5)
    one.log.advance_start(2)
    for offset in (-1, 1, 6):
        with pytest.raises(OffsetOutOfRange) as caught:
            one.log.read(offset, 100, wait=True)
        error = caught.value
        assert (error.offset, error.start_offset, error.end_offset) == (offset, 2, 5)


def test_a_read_that_would_wait_says_so(one: OneLog) -> None:
    one.fill(5)
    one.disk.cold = True
    with pytest.raises(BlockingIOError):
        one.log.read(0, 100, wait=False)
    assert one.log.read(0, 100, wait=True).data


# Delete before


def test_deleting_removes_whole_segments_below_and_nothing_else(one: OneLog) -> None:
    one.fill(100)
    one.flush()
    second, third, fourth = bases(one)[1:4]
    one.log.advance_start(third + 1)
    doomed = one.log.remove_below(one.log.start_offset)
    assert bases(one)[0] == third
    assert one.log.start_offset == third + 1
    assert one.offsets() == list(range(third + 1, 100))
    renamed = {Path(path).name for path in doomed}
    assert renamed == {
        one.file(base, suffix + ".deleted").name
        for base in (0, second)
        for suffix in (".log", ".index", ".timeindex")
    }
    assert all(Path(path).exists() for path in doomed)
    assert one.file(fourth).exists()


def test_deleting_everything_keeps_the_next_offset(one: OneLog) -> None:
    one.fill(10)
    one.flush()
    one.log.advance_start(10)
    one.log.remove_below(10)
    assert (one.log.start_offset, one.log.end_offset) == (10, 10)
    one.fill(1)
    assert one.offsets() == [10]
    assert one.start(start_offset=10).end_offset == 11


def test_nothing_can_be_deleted_beyond_the_end(one: OneLog) -> None:
    one.fill(3)
    with pytest.raises(OffsetOutOfRange):
        one.log.advance_start(4)
    one.log.advance_start(1)
    one.log.advance_start(0)
    assert one.log.start_offset == 1


def test_a_reader_that_comes_late_to_a_removed_segment_is_told(
    one: OneLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    one.fill(100)
    first, next_base = one.log.segments[0], bases(one)[1]
    open_files = first.files

    def late() -> object:
        one.log.advance_start(next_base)
        one.log.remove_below(next_base)
        return open_files()

    first.close_files()
    monkeypatch.setattr(first, "files", late)
    with pytest.raises(OffsetOutOfRange) as caught:
        one.log.read(0, 100, wait=True)
    assert caught.value.start_offset == next_base
    assert not one.file(0).exists()


def test_a_segment_that_somebody_removed_is_not_taken_for_one_that_retention_took(
    one: OneLog,
) -> None:
    one.fill(100)
    one.log.segments[0].close_files()
    one.file(0).unlink()
    with pytest.raises(FileNotFoundError):
        one.log.read(0, 100, wait=True)
