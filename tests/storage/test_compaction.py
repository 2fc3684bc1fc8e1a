"""What compaction decides and what it leaves of a log, rule by rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import odd_batches
from tests.support.apache_kafka import ApacheKafka
from tests.support.compacting import compact, plan
from tests.support.one_log import NOW, OneLog
from tests.support.segment_files import check_indexes, walk_log
from tidelog.storage.batches.record_batch import (
    CONTROL,
    HEADER_SIZE,
    TRANSACTIONAL,
    batches,
    decode_records,
    encode_batch,
    read_header,
)
from tidelog.storage.compaction.planning import plan_compaction
from tidelog.storage.errors import CorruptBatch, DiskFull
from tidelog.storage.local.segment import SegmentInfo
from tidelog.storage.log_settings import LogSettings

HOUR_MS = 3_600_000
Plain = tuple[int, bytes | None, bytes | None]


@pytest.fixture
def make_log(tmp_path: Path) -> Callable[..., OneLog]:
    def make(**settings: object) -> OneLog:
        return OneLog(tmp_path, **{"compact": True, "delete": False, **settings})

    return make


def write(one: OneLog, *records: tuple[bytes, bytes | None], time: int = NOW, **how: int) -> None:
    """Append one batch."""
    one.log.append(encode_batch([(time, *record, ()) for record in records], **how), time)


def seal(one: OneLog) -> None:
    """Everything so far may be compacted."""
    one.log.roll()
    one.flush()


def held(one: OneLog) -> list[Plain]:
    """Every record, with nothing said about batches."""
    return [(record.offset, record.key, record.value) for record in one.records()]


def segment(base: int, size: int, time: int = NOW, *, sealed: bool = True) -> SegmentInfo:
    return SegmentInfo(base, base + 10, size, time, time, sealed)


def planned(segments: list[SegmentInfo], *, cleaned: int = 0, stable: int = 100, **settings: int):
    return plan_compaction(
        segments,
        LogSettings(compact=True, **settings),
        cleaned_offset=cleaned,
        start_offset=0,
        stable_offset=stable,
        now_ms=NOW,
    )


# Which segments, and when


def test_a_log_is_due_once_more_than_its_dirty_ratio_is_new() -> None:
    segments = [segment(0, 100), segment(10, 100), segment(20, 50, sealed=False)]
    assert planned(segments, cleaned=10).reason is None
    assert planned(segments, cleaned=10).dirty_ratio == 0.5
    segments[1] = segment(10, 101)
    due = planned(segments, cleaned=10)
    assert due.reason == "dirty_ratio"
    assert due.segments == (0, 10)
    assert (due.cleaned_offset, due.end_offset) == (10, 20)
    assert (due.clean_bytes, due.dirty_bytes) == (100, 101)
    assert planned(segments, cleaned=20).reason is None


def test_the_active_segment_and_what_is_not_stable_stay_out() -> None:
    segments = [segment(0, 100), segment(10, 100), segment(20, 100, sealed=False)]
    assert planned(segments).segments == (0, 10)
    assert planned(segments, stable=19).segments == (0,)
    assert planned(segments, stable=9).reason is None


def test_young_records_wait_and_old_ones_do_not() -> None:
    segments = [segment(0, 900), segment(10, 100, NOW - HOUR_MS), segment(20, 100)]
    lag = {"min_compaction_lag_ms": HOUR_MS - 1}
    assert planned(segments, cleaned=10, **lag).segments == (0, 10)
    assert planned(segments, cleaned=10, **lag).reason is None
    assert planned(segments, cleaned=10, max_compaction_lag_ms=HOUR_MS - 1).reason == "max_lag"
    assert planned(segments, cleaned=10, max_compaction_lag_ms=HOUR_MS).reason is None


def test_a_checkpoint_below_the_start_counts_from_the_start() -> None:
    segments = [segment(10, 100), segment(20, 100, sealed=False)]
    found = plan_compaction(
        segments,
        LogSettings(compact=True),
        cleaned_offset=3,
        start_offset=12,
        stable_offset=30,
        now_ms=NOW,
    )
    assert found.cleaned_offset == 12
    assert found.segments == (10,)


def test_a_topic_that_is_not_compacted_is_never_due() -> None:
    segments = [segment(0, 100), segment(10, 100, sealed=False)]
    settings = LogSettings(compact=False)
    found = plan_compaction(
        segments, settings, cleaned_offset=0, start_offset=0, stable_offset=20, now_ms=NOW
    )
    assert found.reason is None


def test_a_segment_is_sealed_before_its_lag_has_passed(make_log: Callable[..., OneLog]) -> None:
    one = make_log(max_compaction_lag_ms=1000)
    write(one, (b"a", b"1"))
    write(one, (b"a", b"2"), time=NOW + 1000)
    assert len(one.log.segments) == 1
    write(one, (b"a", b"3"), time=NOW + 1001)
    assert len(one.log.segments) == 2


# What stays


@pytest.mark.parametrize("codec", range(5))
def test_the_newest_record_of_each_key_stays_where_it_was(
    make_log: Callable[..., OneLog], codec: int
) -> None:
    one = make_log()
    write(one, (b"a", b"old"), (b"b", b"kept"), (b"a", b"older"), codec=codec)
    write(one, (b"c", b"old"), codec=codec)
    write(one, (b"a", b"new"), (b"c", b"new"), codec=codec)
    seal(one)
    write(one, (b"b", b"active"))
    before = [batch.data for batch in walk_log(one.file(0))]
    compact(one.log, NOW)
    assert held(one) == [
        (1, b"b", b"kept"),
        (4, b"a", b"new"),
        (5, b"c", b"new"),
        (6, b"b", b"active"),
    ]
    first, last = walk_log(one.file(0))
    header = read_header(first.data)
    assert (header.base_offset, header.last_offset, header.record_count) == (0, 2, 1)
    assert header.codec == codec
    assert last.data == before[2]
    check_indexes(one.file(0), complete=True)


def test_a_tombstone_stays_until_its_horizon(make_log: Callable[..., OneLog]) -> None:
    one = make_log(delete_retention_ms=HOUR_MS)
    write(one, (b"a", b"1"), (b"b", b"2"))
    write(one, (b"a", None), (b"c", b"3"), time=NOW + 5)
    seal(one)
    compact(one.log, NOW + 10)
    assert held(one) == [(1, b"b", b"2"), (2, b"a", None), (3, b"c", b"3")]
    assert [record.timestamp for record in one.records()] == [NOW, NOW + 5, NOW + 5]
    header = read_header(walk_log(one.file(0))[1].data)
    assert header.delete_horizon_ms == NOW + 10 + HOUR_MS
    for passed_ms, stays in ((HOUR_MS - 1, True), (HOUR_MS, False)):
        write(one, (b"d", b"%d" % passed_ms))
        seal(one)
        compact(one.log, NOW + 10 + passed_ms)
        assert ((2, b"a", None) in held(one)) == stays
    assert [key for _, key, _ in held(one)] == [b"b", b"c", b"d"]


@pytest.mark.parametrize("delete_retention_ms", [0, HOUR_MS, 2**63 - 1])
def test_a_horizon_keeps_times_and_headers_of_records(
    make_log: Callable[..., OneLog], delete_retention_ms: int
) -> None:
    one = make_log(delete_retention_ms=delete_retention_ms)
    records = [
        (NOW + 7, b"a", b"1", [(b"h", b"v")]),
        (NOW - 90_000, b"b", None, [(b"n", None)]),
        (NOW, b"a", b"x" * 300, []),
    ]
    one.log.append(encode_batch(records, codec=1), NOW)
    seal(one)
    before = one.records()[1:]
    compact(one.log, NOW)
    assert one.records() == before
    check_indexes(one.file(0), complete=True)


def test_records_without_a_key_go(make_log: Callable[..., OneLog]) -> None:
    one = make_log(compact=False)
    one.log.append(encode_batch([(NOW, None, b"1", ()), (NOW, b"a", b"2", ())]), NOW)
    one.log.settings = LogSettings(compact=True)
    seal(one)
    compact(one.log, NOW)
    assert held(one) == [(1, b"a", b"2")]


def test_the_end_of_a_segment_stays_as_a_header(make_log: Callable[..., OneLog]) -> None:
    one = make_log(delete_retention_ms=0)
    write(one, (b"a", b"1"), (b"b", b"2"))
    write(one, (b"b", None))
    seal(one)
    compact(one.log, NOW)
    write(one, (b"a", None))
    seal(one)
    compact(one.log, NOW + 1)
    write(one, (b"c", b"3"))
    seal(one)
    compact(one.log, NOW + 2)
    write(one, (b"c", b"4"))
    seal(one)
    compact(one.log, NOW + 3)
    batches = walk_log(one.file(0))
    assert batches[-1].last_offset == 5
    assert held(one) == [(5, b"c", b"4")]
    one.stop()
    one.start()
    assert held(one) == [(5, b"c", b"4")]
    assert one.log.end_offset == 6


def test_small_segments_become_one(make_log: Callable[..., OneLog]) -> None:
    one = make_log(segment_bytes=4000)
    for number in range(40):
        write(one, (b"k%d" % number, bytes(300)))
        if number % 2:
            seal(one)
    before = held(one)
    assert len(one.log.segments) == 21
    doomed = compact(one.log, NOW)
    assert held(one) == before
    sizes = [s.size for s in one.log.segments[:-1]]
    assert len(sizes) < 6
    assert max(sizes) <= 4000
    for path in doomed:
        one.disk.remove(path)
    assert len(list(one.directory.glob("*.log"))) == len(one.log.segments)
    for found in one.log.segments[:-1]:
        check_indexes(one.file(found.base_offset), complete=True)


def test_a_clean_segment_is_left_alone(make_log: Callable[..., OneLog]) -> None:
    one = make_log()
    write(one, (b"a", b"1"))
    seal(one)
    same = one.log.segments[0]
    assert compact(one.log, NOW) == []
    assert one.log.segments[0] is same
    assert one.log.cleaned_offset == 1
    assert not list(one.directory.glob("*.cleaned"))


# Producers and transactions


def test_a_duplicate_is_still_known_after_compaction_and_a_restart(
    make_log: Callable[..., OneLog],
) -> None:
    one = make_log()
    sent = encode_batch(
        [(NOW, b"a", b"1", ()), (NOW, b"b", b"1", ())],
        producer_id=7,
        producer_epoch=2,
        base_sequence=0,
    )
    one.log.append(bytearray(sent), NOW)
    write(one, (b"a", b"2"), (b"b", b"2"))
    seal(one)
    compact(one.log, NOW)
    first = read_header(walk_log(one.file(0))[0].data)
    assert (first.record_count, first.producer_id, first.base_sequence) == (0, 7, 0)
    assert held(one) == [(2, b"a", b"2"), (3, b"b", b"2")]
    for path in one.directory.glob("*.snapshot"):
        path.unlink()
    one.start(recovery_point=0)
    again = one.log.append(bytearray(sent), NOW)
    assert again.duplicate
    assert (again.base_offset, again.last_offset) == (0, 1)


def marker(producer_id: int, *, commit: bool) -> bytearray:
    key = b"\0\0" + (b"\0\1" if commit else b"\0\0")
    return encode_batch(
        [(NOW, key, bytes(6), ())],
        producer_id=producer_id,
        producer_epoch=0,
        attributes=TRANSACTIONAL | CONTROL,
    )


def write_as_kafka(one: OneLog, *batches: bytearray) -> None:
    """Put batches into the only segment that no producer of ours may send."""
    offset, content = 0, b""
    for batch in batches:
        header = read_header(batch)
        batch[:8] = offset.to_bytes(8, "big")
        offset += header.last_offset_delta + 1
        content += batch
    one.stop()
    one.file(0).write_bytes(content)
    one.start(recovery_point=0)
    seal(one)


def transactional(producer_id: int, key: bytes, value: bytes) -> bytearray:
    return encode_batch(
        [(NOW, key, value, ())],
        producer_id=producer_id,
        producer_epoch=0,
        base_sequence=0,
        attributes=TRANSACTIONAL,
    )


def test_an_aborted_record_never_hides_a_committed_one(make_log: Callable[..., OneLog]) -> None:
    one = make_log(delete_retention_ms=10)
    write_as_kafka(
        one,
        encode_batch([(NOW, b"a", b"plain", ()), (NOW, b"b", b"plain", ())]),
        transactional(1, b"a", b"aborted"),
        transactional(2, b"b", b"committed"),
        marker(1, commit=False),
        marker(2, commit=True),
        encode_batch([(NOW, b"z", b"last", ())]),
    )
    compact(one.log, NOW, last_offsets=[])
    data = [record for record in held(one) if len(record[1] or b"") == 1]
    assert data == [(0, b"a", b"plain"), (3, b"b", b"committed"), (6, b"z", b"last")]
    controls = [b for b in walk_log(one.file(0)) if read_header(b.data).is_control]
    assert [batch.base_offset for batch in controls] == [4, 5]


def test_a_marker_goes_a_horizon_after_its_records(make_log: Callable[..., OneLog]) -> None:
    one = make_log(delete_retention_ms=10)
    write_as_kafka(
        one,
        transactional(1, b"a", b"aborted"),
        marker(1, commit=False),
        encode_batch([(NOW, b"z", b"last", ())]),
    )

    def markers() -> int:
        return sum(read_header(batch.data).is_control for batch in walk_log(one.file(0)))

    for passed_ms, expected in ((0, 1), (1, 1), (10, 1), (11, 0)):
        compact(one.log, NOW + passed_ms, last_offsets=[], cleaned_offset=0)
        assert markers() == expected, passed_ms


# Limits and faults


def test_memory_for_keys_is_bounded_and_several_passes_finish(
    make_log: Callable[..., OneLog],
) -> None:
    one = make_log(segment_bytes=2000)
    for number in range(300):
        write(one, (b"key-%d" % (number % 100), b"%d" % number))
    seal(one)
    passes = 0
    while one.log.cleaned_offset < 300:
        before = one.log.cleaned_offset
        compact(one.log, NOW, key_map_bytes=5000)
        assert one.log.cleaned_offset > before
        found = {key: value for _, key, value in held(one)}
        assert found == {b"key-%d" % n: b"%d" % (n + 200) for n in range(100)}
        passes += 1
    assert passes > 3
    assert len(held(one)) == 100


def test_long_keys_are_told_apart(make_log: Callable[..., OneLog]) -> None:
    one = make_log()
    long = bytes(200)
    write(one, (long + b"1", b"old"), (long + b"2", b"kept"), (long + b"1", b"new"))
    seal(one)
    compact(one.log, NOW)
    assert held(one) == [(1, long + b"2", b"kept"), (2, long + b"1", b"new")]


def test_damage_ends_a_pass_and_leaves_the_log_as_it_was(make_log: Callable[..., OneLog]) -> None:
    one = make_log()
    write(one, (b"a", b"1"))
    write(one, (b"a", b"2"))
    seal(one)
    data = bytearray(one.file(0).read_bytes())
    data[-3] ^= 1
    one.file(0).write_bytes(data)
    names = set(one.files())
    with pytest.raises(CorruptBatch) as caught:
        compact(one.log, NOW)
    assert caught.value.path == str(one.file(0))
    assert set(one.files()) == names


@pytest.mark.parametrize(
    "odd",
    [
        odd_batches.BROKEN_INSIDE["gzip that is cut short"],
        odd_batches.BROKEN_LATER["bytes after many"],
        odd_batches.batch(
            b"".join(odd_batches.record(0, key=odd_batches.sized(b"k%d" % n)) for n in range(3))
        ),
    ],
    ids=["cut short", "bytes after the last record", "records of the same number"],
)
def test_what_cannot_be_read_stays_as_it_is_and_the_rest_is_compacted(
    make_log: Callable[..., OneLog], odd: bytes
) -> None:
    one = make_log(segment_bytes=10**6)
    write(one, (b"k1", b"old"))
    write(one, (b"b", b"old"))
    one.log.settings = replace(one.settings, compact=False)
    one.log.append(bytearray(odd), NOW)
    one.log.settings = one.settings
    write(one, (b"k1", b"new"), (b"b", b"new"))
    seal(one)
    compact(one.log, NOW)
    kept = one.file(0).read_bytes()
    found = [(kept[at : at + header.size], header) for at, header in batches(kept)]
    assert [header.base_offset for _, header in found] == [2, 2 + read_header(odd).record_count]
    assert found[0][0][HEADER_SIZE:] == odd[HEADER_SIZE:]
    assert one.log.find(0, 1, wait=True).next_offset > 2


def test_a_full_disk_ends_a_pass_and_leaves_nothing_behind(
    make_log: Callable[..., OneLog],
) -> None:
    one = make_log()
    write(one, (b"a", bytes(500)), (b"b", bytes(500)))
    write(one, (b"a", bytes(500)))
    seal(one)
    before = held(one)
    names = set(one.files())
    one.disk.room_bytes = 300
    with pytest.raises(DiskFull):
        compact(one.log, NOW)
    one.disk.room_bytes = None
    assert set(one.files()) == names
    assert held(one) == before
    compact(one.log, NOW)
    assert [offset for offset, _, _ in held(one)] == [1, 2]


def test_everything_read_and_written_is_charged(make_log: Callable[..., OneLog]) -> None:
    one = make_log()
    for number in range(20):
        write(one, (b"a", b"%d" % number))
    seal(one)
    size = one.log.segments[0].size
    charged: list[int] = []
    compact(one.log, NOW, charge=charged.append)
    assert sum(charged) == 2 * size + one.log.segments[0].size


# Reading around what is gone


def test_offsets_that_are_gone_read_on_with_the_next(make_log: Callable[..., OneLog]) -> None:
    one = make_log(index_interval_bytes=60)
    for number in range(50):
        write(one, (b"k%d" % (number % 5), b"%d" % number))
    seal(one)
    write(one, (b"end", b"50"))
    compact(one.log, NOW)
    for offset in range(51):
        for max_bytes in (1, 100, 10_000):
            found = one.log.read(offset, max_bytes, wait=True)
            first = decode_records(found.data)[0]
            assert first.offset == max(offset, 45)
            assert found.next_offset > first.offset
    assert one.log.offset_for_timestamp(NOW) == (45, NOW)


def test_a_reader_on_its_way_reads_the_old_segment(make_log: Callable[..., OneLog]) -> None:
    one = make_log()
    for number in range(20):
        write(one, (b"a", b"%d" % number))
    seal(one)
    old = one.log.segments[0]
    old.close_files()
    assert not old.is_open
    compact(one.log, NOW)
    assert one.log.segments[0] is not old
    one.log.place.opened.used(old)
    assert decode_records(old.find(3, 1, wait=True).data.read())[0].value == b"3"


def test_the_plan_says_what_was_done(make_log: Callable[..., OneLog]) -> None:
    one = make_log()
    for number in range(20):
        write(one, (b"a", b"%d" % number))
    seal(one)
    assert plan(one.log, NOW).reason == "dirty_ratio"
    compact(one.log, NOW)
    after = plan(one.log, NOW)
    assert after.reason is None
    assert after.cleaned_offset == 20
    assert (after.clean_bytes, after.dirty_bytes) == (one.log.segments[0].size, 0)


@pytest.mark.parametrize("delete_retention_ms", [HOUR_MS, 2**63 - 1])
def test_apache_kafka_finds_no_fault_with_what_is_left(
    make_log: Callable[..., OneLog], apache_kafka: ApacheKafka, delete_retention_ms: int
) -> None:
    """Rewritten batches of every codec, horizons, headers without records, merged segments."""
    one = make_log(
        segment_bytes=3000, index_interval_bytes=200, delete_retention_ms=delete_retention_ms
    )
    for number in range(120):
        records = [
            (NOW + number * (1 if number % 3 else -2), b"k%d" % key, value, ())
            for key, value in ((number % 9, b"%d" % number), (number % 31, bytes(number)))
        ]
        if number % 11 == 0:
            records[1] = (NOW + number, b"t%d" % number, None, ())
        how = {"producer_id": 5, "producer_epoch": 0, "base_sequence": number * 2}
        one.log.append(encode_batch(records, codec=number % 5, **how), NOW)
    seal(one)
    for path in compact(one.log, NOW):
        one.disk.remove(path)
    one.stop()
    headers = [
        read_header(batch.data) for path in one.directory.glob("*.log") for batch in walk_log(path)
    ]
    assert {header.codec for header in headers} == set(range(5))
    assert any(header.delete_horizon_ms for header in headers)
    assert any(header.record_count == 0 for header in headers)
    assert any(0 < h.record_count <= h.last_offset_delta for h in headers)
    names = ("*.log", "*.index", "*.timeindex", "*.snapshot")
    paths = [path for name in names for path in sorted(one.directory.glob(name))]
    assert apache_kafka.check_files(paths, compacted=True) == len(headers)
