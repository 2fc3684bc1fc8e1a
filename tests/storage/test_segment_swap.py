"""New segments in the place of old ones: disks that fail halfway, starts that find half of it."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.compacting import cleaning_job, compact
from tests.support.one_log import NOW, OneLog
from tests.support.segment_files import check_indexes
from tidelog.storage.batches.record_batch import encode_batch
from tidelog.storage.compaction.cleaner import Cleaner
from tidelog.storage.errors import WritesStopped
from tidelog.storage.local import segment_swap
from tidelog.storage.local.cleaned_segment import Cleaned

LATEST = [b"%d" % number for number in range(35, 40)]


@pytest.fixture
def one(tmp_path: Path) -> OneLog:
    """Five keys, each with eight values, in several sealed segments."""
    made = OneLog(tmp_path, compact=True, delete=False, segment_bytes=600, index_interval_bytes=100)
    for number in range(40):
        batch = encode_batch([(NOW + number, b"k%d" % (number % 5), b"%d" % number, ())])
        made.log.append(batch, NOW)
    made.log.roll()
    made.flush()
    return made


def offered(one: OneLog) -> tuple[Cleaned, list[segment_swap.Segment]]:
    """The one new segment, promised but not swapped in."""
    (cleaned,) = Cleaner(cleaning_job(one.log, NOW), one.disk, lambda size: None).clean()
    old = segment_swap.replaced_by(one.log, cleaned)
    assert len(old) > 3
    segment_swap.offer(one.disk, str(one.directory), cleaned, old)
    return cleaned, old


def values(one: OneLog) -> list[bytes | None]:
    return [record.value for record in one.records()]


def failing_at(number: int, rename: Callable[[str, str], None]) -> Callable[[str, str], None]:
    left = [number]

    def renamed(old: str, new: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.EIO, "Input/output error")
        rename(old, new)

    return renamed


@pytest.mark.parametrize("number", range(0, 16, 3))
def test_a_disk_that_fails_halfway_stops_writes_and_the_next_start_finishes(
    one: OneLog, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleaned, old = offered(one)
    monkeypatch.setattr(one.disk, "rename", failing_at(number, one.disk.rename))
    with pytest.raises(WritesStopped, match="Input/output error"):
        segment_swap.swap(one.log, cleaned, old)
    assert len(values(one)) == 40
    with pytest.raises(WritesStopped):
        one.append(b"more")
    one.start(recovery_point=40)
    assert values(one) == LATEST
    assert [segment.base_offset for segment in one.log.segments] == [0, 40]
    check_indexes(one.file(0), complete=True)


def test_a_log_that_changed_meanwhile_keeps_its_segments(one: OneLog) -> None:
    (cleaned,) = Cleaner(cleaning_job(one.log, NOW), one.disk, lambda size: None).clean()
    one.log.advance_start(one.log.segments[1].base_offset)
    one.log.remove_below(one.log.start_offset)
    assert segment_swap.replaced_by(one.log, cleaned) == []
    names = set(one.files())
    segment_swap.remove_unfinished(one.disk, str(one.directory))
    assert {name for name in names if ".cleaned" in name} == names - set(one.files())


def test_an_offer_that_fails_lets_the_old_segments_close(
    one: OneLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one.disk, "rename", failing_at(1, one.disk.rename))
    with pytest.raises(OSError, match="Input/output error"):
        offered(one)
    monkeypatch.undo()
    assert not any(segment.pinned for segment in one.log.segments)
    segment_swap.remove_unfinished(one.disk, str(one.directory))
    compact(one.log, NOW)
    assert values(one) == LATEST


def test_a_damaged_new_segment_is_not_taken(one: OneLog) -> None:
    offered(one)
    path = one.file(0, ".log.swap")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    one.start(recovery_point=40)
    assert len(values(one)) == 40
    assert not list(one.directory.glob("*.swap"))


def test_indexes_lost_on_the_way_are_made_again(one: OneLog) -> None:
    offered(one)
    for suffix in (".index.swap", ".timeindex.swap"):
        one.file(0, suffix).unlink()
    one.start(clean=True)
    assert values(one) == LATEST
    check_indexes(one.file(0), complete=True)


def test_what_was_not_promised_goes_at_a_start(one: OneLog) -> None:
    list(Cleaner(cleaning_job(one.log, NOW), one.disk, lambda size: None).clean())
    one.file(0, ".index.cleaned").rename(one.file(0, ".index.swap"))
    one.start(recovery_point=40)
    assert len(values(one)) == 40
    assert not [name for name in one.files() if name.endswith((".cleaned", ".swap"))]
