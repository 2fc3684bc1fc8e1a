"""Disks that run full or fail: the log stays as it was, or stops taking writes and says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.one_log import NOW, OneLog
from tests.support.segment_files import check_indexes
from tidelog.storage.errors import DiskFull, WritesStopped


@pytest.fixture
def one(tmp_path: Path) -> OneLog:
    return OneLog(tmp_path)


@pytest.mark.parametrize("room", [0, 1, 100])
def test_a_full_disk_leaves_the_log_as_it_was(one: OneLog, room: int) -> None:
    one.fill(3)
    before, infos = one.files(), one.log.segment_infos()
    one.disk.room_bytes = room
    with pytest.raises(DiskFull) as caught:
        one.fill(1)
    assert caught.value.path == str(one.file(0))
    assert one.files() == before
    assert one.log.segment_infos() == infos
    assert one.offsets() == [0, 1, 2]
    one.disk.room_bytes = None
    one.fill(2)
    assert one.offsets() == [0, 1, 2, 3, 4]
    assert one.start().end_offset == 5


@pytest.mark.parametrize("room", range(0, 60, 4))
def test_a_disk_that_fills_up_in_a_roll_leaves_the_log_as_it_was(one: OneLog, room: int) -> None:
    while one.log.active.size + 200 < one.settings.segment_bytes:
        one.fill(1)
    end = one.log.end_offset
    one.disk.room_bytes = room
    with pytest.raises(DiskFull):
        one.fill(1)
    one.disk.room_bytes = None
    assert one.offsets() == list(range(end))
    # A smaller batch may still fit the old segment: the failed roll must not be in its way.
    one.append(b"%08d" % end)
    assert one.start().end_offset == end + 1
    assert one.offsets() == list(range(end + 1))


@pytest.mark.parametrize("full_for", [".index", ".timeindex"])
def test_an_index_that_does_not_fit_is_no_reason_to_fail(tmp_path: Path, full_for: str) -> None:
    one = OneLog(tmp_path, segment_bytes=10**6, index_interval_bytes=1)
    one.fill(60)
    one.disk.full_for = (full_for,)
    one.fill(20)
    assert one.log.end_offset == 80
    check_indexes(one.file(0), complete=False)
    one.disk.full_for = ()
    one.fill(5)
    check_indexes(one.file(0), complete=False)
    one.stop()
    check_indexes(one.file(0), complete=True)
    one.start(clean=True)
    assert one.offsets() == list(range(85))


def test_a_failed_write_stops_writing_but_not_reading(one: OneLog) -> None:
    one.fill(3)
    one.disk.failing_writes = True
    with pytest.raises(WritesStopped, match=str(one.file(0))):
        one.fill(1)
    one.disk.failing_writes = False
    with pytest.raises(WritesStopped):
        one.fill(1)
    assert one.offsets() == [0, 1, 2]
    assert one.log.writes_stopped
    one.start()
    one.fill(1)
    assert one.offsets() == [0, 1, 2, 3]


def test_a_failed_sync_stops_writing_but_not_reading(one: OneLog) -> None:
    one.fill(3)
    flush = one.log.begin_flush()
    assert flush is not None
    one.disk.failing_syncs = True
    with pytest.raises(OSError, match="error"):
        flush.run()
    one.log.flush_failed("no more")
    one.disk.failing_syncs = False
    assert one.log.flushed_offset == 0
    with pytest.raises(WritesStopped, match="no more"):
        one.append(b"x", timestamp=NOW)
    assert one.offsets() == [0, 1, 2]
