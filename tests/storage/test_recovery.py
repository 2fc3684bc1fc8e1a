"""A directory becomes a log again: after a clean stop, after a crash, after damage."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.one_log import TOPIC_ID, OneLog
from tests.support.segment_files import walk_log
from tidelog.storage.errors import (
    CorruptBatch,
    DirectoryUnreadable,
)
from tidelog.storage.local.cuts import acknowledge_damage


@pytest.fixture
def one(tmp_path: Path) -> OneLog:
    return OneLog(tmp_path)


def damage(path: Path, position: int) -> None:
    """Flip a bit of a file."""
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def logs(one: OneLog) -> list[str]:
    return sorted(path.name for path in one.directory.glob("*.log"))


# A torn end


@pytest.mark.parametrize("lost", [1, 50, 100, 140, 160])
def test_a_torn_batch_is_cut_kept_and_reported(one: OneLog, lost: int) -> None:
    one.fill(5)
    path = one.file(0)
    whole = path.read_bytes()
    last = walk_log(path)[-1].position
    path.write_bytes(whole[:-lost])
    log = one.start()
    assert one.offsets() == [0, 1, 2, 3]
    assert path.read_bytes() == whole[:last]
    (cut,) = log.cuts
    assert (cut.path, cut.position, cut.bytes) == (str(path), last, len(whole) - lost - last)
    assert not cut.damage
    assert Path(cut.kept_as).read_bytes() == whole[last:-lost]
    assert cut.kept_as.endswith(".torn.cut")
    one.fill(1)
    assert one.offsets() == [0, 1, 2, 3, 4]


def test_zeros_after_the_last_batch_are_a_torn_end(one: OneLog) -> None:
    one.fill(3)
    path = one.file(0)
    path.write_bytes(path.read_bytes() + bytes(5000))
    (cut,) = one.start().cuts
    assert (cut.bytes, cut.damage) == (5000, False)
    assert one.offsets() == [0, 1, 2]


def test_a_torn_end_is_reported_once(one: OneLog) -> None:
    one.fill(2)
    one.file(0).write_bytes(one.file(0).read_bytes()[:-1])
    assert one.start().cuts
    assert not one.start().cuts
    assert len(list(one.directory.glob("*.torn.cut"))) == 1


def test_a_second_cut_at_the_same_place_does_not_replace_the_first(one: OneLog) -> None:
    one.fill(1)
    kept = set()
    for keep in (20, 30, 40):
        one.fill(1)
        end = walk_log(one.file(0))[-1].position
        torn = one.file(0).read_bytes()[: end + keep]
        one.file(0).write_bytes(torn)
        (cut,) = one.start().cuts
        kept.add((cut.kept_as, Path(cut.kept_as).read_bytes()))
        assert cut.position == end
    assert {len(content) for _, content in kept} == {20, 30, 40}
    assert len({name for name, _ in kept}) == 3
    assert all(Path(name).read_bytes() == content for name, content in kept)


def test_an_empty_log_survives_a_crash(one: OneLog) -> None:
    assert one.start().end_offset == 0
    one.fill(1)
    assert one.offsets() == [0]


# Damage


def test_damage_in_the_middle_is_told_from_a_torn_end(one: OneLog) -> None:
    one.fill(6)
    path = one.file(0)
    batches = walk_log(path)
    damage(path, batches[3].position + 80)
    broken = path.read_bytes()
    log = one.start()
    (cut,) = log.cuts
    assert cut.damage
    assert (cut.path, cut.position) == (str(path), batches[3].position)
    assert Path(cut.kept_as).read_bytes() == broken[batches[3].position :]
    assert one.offsets() == [0, 1, 2]


def test_damage_is_reported_until_it_is_acknowledged(one: OneLog) -> None:
    one.fill(6)
    damage(one.file(0), walk_log(one.file(0))[3].position + 80)
    (cut,) = one.start().cuts
    assert one.start().cuts == [cut]
    one.stop()
    log = one.start(clean=True)
    assert log.cuts == [cut]
    kept = Path(cut.kept_as).read_bytes()
    acknowledge_damage(log)
    assert not log.cuts
    assert not one.start().cuts
    (left,) = one.directory.glob("*.cut")
    assert left.read_bytes() == kept


def test_damage_in_an_earlier_segment_takes_the_later_ones_with_it(one: OneLog) -> None:
    one.fill(60)
    bases = [segment.base_offset for segment in one.log.segments]
    assert len(bases) > 2
    damage(one.file(0), walk_log(one.file(0))[5].position + 70)
    log = one.start()
    assert one.offsets() == [0, 1, 2, 3, 4]
    assert all(cut.damage for cut in log.cuts)
    assert [Path(cut.path) for cut in log.cuts] == [one.file(base) for base in bases]
    assert logs(one) == [one.file(0).name]
    assert sum(cut.bytes for cut in log.cuts) == sum(
        path.stat().st_size for path in one.directory.glob("*.cut")
    )
    one.fill(1)
    assert one.start().end_offset == 6


def test_a_segment_that_is_missing_takes_the_later_ones_with_it(one: OneLog) -> None:
    one.fill(60)
    second, third = (segment.base_offset for segment in one.log.segments[1:3])
    one.file(second).unlink()
    log = one.start()
    assert log.end_offset == second
    assert one.offsets() == list(range(second))
    assert Path(log.cuts[0].path) == one.file(third)


def test_damage_below_the_recovery_point_is_left_for_its_readers(one: OneLog) -> None:
    one.fill(60)
    one.flush()
    position = walk_log(one.file(0))[2].position
    damage(one.file(0), position + 16)
    log = one.start(recovery_point=60)
    assert log.end_offset == 60
    assert not log.cuts
    with pytest.raises(CorruptBatch) as caught:
        log.read(2, 100, wait=True)
    assert (caught.value.path, caught.value.position) == (str(one.file(0)), position)
    found = log.read(10, 100, wait=True)
    assert len(found.data)


def test_a_checksum_that_fails_names_file_and_position(one: OneLog) -> None:
    one.fill(10)
    position = walk_log(one.file(0))[4].position
    damage(one.file(0), position + 90)
    with pytest.raises(CorruptBatch, match="checksum") as caught:
        list(one.log.segments[0].scan(check=True))
    assert (caught.value.path, caught.value.position) == (str(one.file(0)), position)


def test_a_log_that_ends_below_its_start_offset_begins_there_again(one: OneLog) -> None:
    one.fill(5)
    log = one.start(start_offset=40)
    assert (log.start_offset, log.end_offset) == (40, 40)
    one.fill(1)
    assert one.offsets() == [40]
    assert one.start(start_offset=40).end_offset == 41


def test_a_directory_without_any_segment_does_not_give_offsets_again(one: OneLog) -> None:
    one.fill(5)
    one.stop()
    for suffix in (".log", ".index", ".timeindex"):
        one.file(0, suffix).unlink()
    assert one.start().end_offset == 5


# Indexes


def indexed(one: OneLog) -> dict[str, bytes]:
    return {name: content for name, content in one.files().items() if "index" in name}


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("pattern", ["*.index", "*.timeindex", "*index"])
def test_lost_indexes_are_made_again(one: OneLog, clean: bool, pattern: str) -> None:
    one.fill(60)
    one.stop()
    before = indexed(one)
    for path in one.directory.glob(pattern):
        path.unlink()
    one.start(clean=clean, recovery_point=60)
    assert indexed(one) == before
    assert one.offsets() == list(range(60))


@pytest.mark.parametrize("broken", [b"", b"\0" * 64, b"\xff" * 60, b"garbage"], ids=len)
def test_broken_indexes_of_what_is_recovered_are_made_again(one: OneLog, broken: bytes) -> None:
    one.fill(60)
    one.stop()
    before = indexed(one)
    for path in one.directory.glob("*index"):
        path.write_bytes(broken)
    one.start(recovery_point=0)
    assert indexed(one) == before


def test_an_index_that_lost_its_end_is_completed(one: OneLog) -> None:
    one.fill(20)
    one.stop()
    before = indexed(one)
    for lost in (one.file(0, ".timeindex"), one.file(0, ".index")):
        whole = lost.read_bytes()
        for keep in range(0, len(whole), 5):
            lost.write_bytes(whole[:keep])
            one.start(recovery_point=20)
            assert indexed(one) == before


def test_what_does_not_belong_is_tidied_up(one: OneLog) -> None:
    one.fill(3)
    orphan = one.file(7, ".index"), one.file(7, ".timeindex")
    left = one.file(9, ".log.deleted"), one.file(9, ".log.cleaned"), one.directory / "x.tmp"
    foreign = one.directory / "notes.txt", one.directory / "0123.log"
    for path in (*orphan, *left, *foreign):
        path.write_bytes(b"12345678")
    one.start()
    assert not [path for path in (*orphan, *left) if path.exists()]
    assert all(path.exists() for path in foreign)
    assert one.offsets() == [0, 1, 2]


def test_an_interrupted_swap_is_finished(one: OneLog) -> None:
    one.fill(3)
    one.stop()
    for suffix in (".log", ".index", ".timeindex"):
        one.file(0, suffix).rename(one.file(0, suffix + ".swap"))
    one.start(clean=True)
    assert one.offsets() == [0, 1, 2]
    assert not list(one.directory.glob("*.swap"))


# What a start costs


def test_a_clean_start_reads_no_batches(one: OneLog) -> None:
    one.fill(300)
    one.stop()
    one.start(clean=True)
    assert not one.disk.read_bytes_by_path
    assert one.offsets() == list(range(300))


def test_a_start_after_a_crash_reads_from_the_recovery_point_on(one: OneLog) -> None:
    one.fill(300)
    one.flush()
    one.fill(2)
    one.start(recovery_point=300)
    read = sum(one.disk.read_bytes_by_path.values())
    assert 0 < read < 3 * one.settings.segment_bytes
    assert one.offsets() == list(range(302))


def test_each_unclean_start_raises_the_leader_epoch(one: OneLog) -> None:
    one.fill(1)
    assert one.start().epochs.current == 1
    one.fill(1)
    one.stop()
    assert one.start(clean=True).epochs.current == 1
    assert one.start().epochs.current == 2
    assert [int.from_bytes(batch.data[12:16], "big") for batch in walk_log(one.file(0))] == [0, 1]


def test_a_torn_leader_epoch_checkpoint_does_not_stop_a_start(one: OneLog) -> None:
    one.fill(1)
    (one.directory / "leader-epoch-checkpoint").write_bytes(b"0\n2\n0 0\n")
    assert one.start().end_offset == 1


def test_producers_are_known_after_a_crash(one: OneLog) -> None:
    def send(sequence: int) -> bool:
        sent = one.append(b"x", producer_id=5, producer_epoch=0, base_sequence=sequence)
        return sent.duplicate

    for sequence in range(3):
        assert not send(sequence)
    one.log.take_snapshot()
    assert not send(3)
    one.start()
    assert send(3)
    assert not send(4)


def test_an_unsound_snapshot_is_replaced_by_reading(one: OneLog) -> None:
    for sequence in range(3):
        one.append(b"x", producer_id=5, producer_epoch=0, base_sequence=sequence)
    one.stop()
    (snapshot,) = one.directory.glob("*.snapshot")
    damage(snapshot, 20)
    one.start(clean=True)
    assert one.append(b"x", producer_id=5, producer_epoch=0, base_sequence=2).duplicate


def test_the_directory_says_whose_it_is(one: OneLog) -> None:
    encoded = (one.directory / "partition.metadata").read_text()
    assert encoded == "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAYw\n"
    assert TOPIC_ID.int == 99


def test_a_directory_that_cannot_be_read_is_named(one: OneLog) -> None:
    for path in one.directory.iterdir():
        path.unlink()
    one.directory.rmdir()
    with pytest.raises(DirectoryUnreadable) as caught:
        one.start()
    assert caught.value.path == str(one.directory)


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_log_cut_short_after_a_clean_stop_takes_records_that_can_be_read(
    one: OneLog, kept: float
) -> None:
    one.fill(30)
    one.flush()
    one.stop()
    path = one.file(one.log.active.base_offset)
    size = path.stat().st_size
    os.truncate(path, int(size * kept))
    one.start(clean=True, end_position=size)
    assert one.log.end_offset == 30
    assert one.log.epochs.current == 1
    one.fill(2)
    assert one.offsets()[-2:] == [30, 31]
    one.flush()
    one.stop()
    one.start(clean=True, end_position=one.file(one.log.active.base_offset).stat().st_size)
    assert one.offsets()[-2:] == [30, 31]


def test_a_clean_log_of_the_right_size_is_not_read(one: OneLog) -> None:
    one.fill(30)
    one.flush()
    one.stop()
    size = one.file(one.log.active.base_offset).stat().st_size
    one.start(clean=True, end_position=size)
    assert not [path for path, read in one.disk.read_bytes_by_path.items() if read]
    assert one.log.epochs.current == 0


@pytest.mark.parametrize("kept", [None, 0.0, 0.5])
def test_offsets_below_the_recovery_point_are_not_given_again(
    one: OneLog, kept: float | None
) -> None:
    one.fill(30)
    one.flush()
    path = one.file(one.log.active.base_offset)
    if kept is None:
        path.unlink()
    else:
        os.truncate(path, int(path.stat().st_size * kept))
    for _ in range(2):
        one.start(recovery_point=30)
        assert one.log.end_offset == 30
    one.fill(1)
    assert one.offsets()[-1] == 30
    one.start(recovery_point=30)
    assert one.offsets()[-1] == 30


@pytest.mark.parametrize("bit", [0, 3, 9, 24, 40, 60])
def test_a_batch_under_another_offset_is_damage(one: OneLog, bit: int) -> None:
    """No checksum covers a batch's offset, but nothing else may stand there."""
    one.fill(3)
    one.flush()
    path = one.file(0)
    batch = walk_log(path)[1]
    data = bytearray(path.read_bytes())
    data[batch.position + 7 - bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    one.start()
    assert one.offsets() == [0]
    assert one.log.cuts[0].position == batch.position


def test_lost_leader_epochs_are_those_of_the_batches(one: OneLog) -> None:
    for _ in range(3):
        one.fill(2)
        one.flush()
        one.start(recovery_point=one.log.end_offset)
    one.fill(2)
    one.flush()
    one.stop()
    path = one.directory / "leader-epoch-checkpoint"
    sound = path.read_bytes()
    assert sound == b"0\n4\n0 0\n1 2\n2 4\n3 6\n"
    for content in (None, b"", b"\0" * 9, b"0\n2\n3 0\n1 2\n"):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        one.start(clean=True)
        assert path.read_bytes() == sound
        assert one.log.epochs.current == 3


def test_a_missing_log_file_is_told(one: OneLog) -> None:
    one.fill(100)
    one.flush()
    one.stop()
    gone = one.file(one.log.segments[1].base_offset)
    gone.unlink()
    one.start(clean=True)
    assert one.watch.unfinished == [f"{gone} is missing: what it held is gone"]
    one.start(clean=True)
    assert not one.watch.unfinished
