"""An index is a hint: whatever stands in it, every batch is found, and every time."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.one_log import NOW, OneLog
from tests.support.segment_files import check_indexes, walk_log

COUNT = 60


@pytest.fixture
def one(tmp_path: Path) -> OneLog:
    """Two sealed segments and one that is appended to; the time of a record tells its offset."""
    log = OneLog(tmp_path, index_interval_bytes=200)
    log.fill(COUNT)
    log.flush()
    log.stop()
    assert len(log.log.segments) == 3
    return log


def check(one: OneLog, *, where: str) -> None:
    log = one.log
    for offset in range(COUNT):
        assert one.log.read(offset, 1, wait=True).next_offset == offset + 1, (where, offset)
        assert log.offset_for_timestamp(NOW + offset) == (offset, NOW + offset), (where, offset)
    for start in range(0, COUNT, 7):
        read = log.read(start, 1000, wait=True)
        assert len(read.data) <= 1000, where
        assert one.records(start)[0].offset == start, where
    for segment in log.segment_infos():
        assert segment.last_timestamp == NOW + segment.next_offset - 1, where


def files(one: OneLog, suffix: str) -> list[Path]:
    return [one.file(segment.base_offset, suffix) for segment in one.log.segments]


@pytest.mark.parametrize("suffix", [".index", ".timeindex"])
def test_a_flipped_byte_hides_nothing(one: OneLog, suffix: str) -> None:
    source = random.Random(suffix)
    for path in (files(one, suffix)[0], files(one, suffix)[-1]):
        sound = path.read_bytes()
        for at in range(0, len(sound), 2):
            flipped = sound[at] ^ 1 << source.randrange(8)
            path.write_bytes(sound[:at] + bytes((flipped,)) + sound[at + 1 :])
            one.start(clean=True)
            check(one, where=f"{path.name} at {at}")
        path.write_bytes(sound)


@pytest.mark.parametrize("suffix", [".index", ".timeindex"])
@pytest.mark.parametrize("kind", ["short", "torn", "zeroed", "noise", "another's", "empty"])
def test_an_index_that_is_not_the_segments_hides_nothing(
    one: OneLog, suffix: str, kind: str
) -> None:
    paths = files(one, suffix)
    for path, other in zip(paths, [*paths[1:], paths[0]], strict=True):
        sound = path.read_bytes()
        contents = {
            "short": sound[: len(sound) // 24 * 12],
            "torn": sound[:-1],
            "zeroed": bytes(len(sound)),
            "noise": random.Random(kind).randbytes(len(sound)),
            "another's": other.read_bytes(),
            "empty": b"",
        }
        path.write_bytes(contents[kind])
        one.start(clean=True)
        check(one, where=f"{path.name} {kind}")
        one.stop()
        path.write_bytes(sound)


def test_a_damaged_time_index_is_made_again_for_retention(one: OneLog) -> None:
    path = files(one, ".timeindex")[0]
    sound = path.read_bytes()
    path.write_bytes(bytes(len(sound)))
    one.start(clean=True)
    assert one.log.segment_infos()[0].last_timestamp == NOW + one.log.segments[1].base_offset - 1
    check_indexes(one.file(0), complete=True)
    assert path.read_bytes() == sound


def test_indexes_of_a_damaged_log_are_kept(one: OneLog) -> None:
    """They may lead to what lies behind the damage."""
    batch = walk_log(one.file(0))[3]
    data = bytearray(one.file(0).read_bytes())
    data[batch.position : batch.position + len(batch.data)] = bytes(len(batch.data))
    one.file(0).write_bytes(data)
    indexes = [*files(one, ".index"), *files(one, ".timeindex")]
    kept = [path.read_bytes() for path in indexes]
    one.start(clean=True)
    one.log.segment_infos()
    assert [one.log.read(offset, 1, wait=True).next_offset for offset in (0, 20)] == [1, 21]
    again = [
        path.read_bytes() for suffix in (".index", ".timeindex") for path in files(one, suffix)
    ]
    assert again == kept


@pytest.mark.parametrize("lost", [1, 60, 3000])
def test_records_never_stand_behind_bytes_that_cannot_be_passed(one: OneLog, lost: int) -> None:
    path = files(one, ".log")[-1]
    data = path.read_bytes()
    path.write_bytes(data[: -min(lost, len(data))] + bytes(min(lost, len(data))))
    one.start(clean=True)
    one.fill(2)
    read = [one.log.read(offset, 1, wait=True).next_offset for offset in (COUNT, COUNT + 1)]
    assert read == [COUNT + 1, COUNT + 2]
