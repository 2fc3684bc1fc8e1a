"""Checkpoints, leader epochs, names, and the data directory that holds them."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.faulty_disk import FaultyDisk
from tidelog.storage import file_names
from tidelog.storage.checkpoints import decode_checkpoint, encode_checkpoint
from tidelog.storage.data_directory import DataDirectory
from tidelog.storage.errors import DirectoryInUse, DirectoryUnreadable, DiskFull
from tidelog.storage.file_names import (
    parse_partition_directory_name,
    parse_segment_file_name,
    partition_directory_name,
    segment_file_name,
)
from tidelog.storage.files import Disk
from tidelog.storage.leader_epochs import LeaderEpochs
from tidelog.storage.recovery import LastKnown

topics = st.text("abcXYZ019._-", min_size=1, max_size=20)


@given(offsets=st.dictionaries(st.tuples(topics, st.integers(0, 10**4)), st.integers(0, 2**62)))
def test_a_checkpoint_is_read_as_written(offsets: dict[tuple[str, int], int]) -> None:
    assert decode_checkpoint(encode_checkpoint(offsets)) == offsets


def test_a_checkpoint_is_kafkas_text() -> None:
    assert encode_checkpoint({("a-b", 3): 70, ("t", 0): 0}) == b"0\n2\na-b 3 70\nt 0 0\n"


@pytest.mark.parametrize("data", [b"", b"1\n0\n", b"0\n2\nt 0 5\n", b"0\n1\nt 0\n", b"0\nx\n"])
def test_a_checkpoint_that_is_not_whole_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        decode_checkpoint(data)


def test_epochs_end_where_the_next_began() -> None:
    epochs = LeaderEpochs([(0, 0), (2, 50), (5, 80)])
    assert epochs.current == 5
    expected = {-1: (-1, -1), 0: (0, 50), 1: (0, 50), 2: (2, 80), 4: (2, 80), 5: (5, 99)}
    for epoch, answer in expected.items():
        assert epochs.end_offset_of(epoch, 99) == answer
    assert epochs.end_offset_of(6, 99) == (-1, -1)
    assert LeaderEpochs.decode(epochs.encode()).end_offset_of(1, 99) == (0, 50)


def test_an_epoch_that_wrote_nothing_is_replaced() -> None:
    epochs = LeaderEpochs([(0, 0), (1, 50)])
    epochs.begin(2, 50)
    assert epochs.encode() == b"0\n2\n0 0\n2 50\n"
    epochs.begin(3, 40)
    assert epochs.encode() == b"0\n2\n0 0\n3 40\n"


def test_epochs_below_the_start_are_forgotten() -> None:
    epochs = LeaderEpochs([(0, 0), (2, 50), (5, 80)])
    epochs.truncate_below(60)
    assert epochs.encode() == b"0\n2\n2 60\n5 80\n"


@given(offset=st.integers(0, 2**63 - 1), suffix=st.sampled_from([".log", ".index", ".log.deleted"]))
def test_segment_names_are_read_as_written(offset: int, suffix: str) -> None:
    name = segment_file_name(offset, suffix)
    assert parse_segment_file_name(name) == (offset, suffix)


@pytest.mark.parametrize("name", ["", "1.log", "x" * 20 + ".log", "0" * 20, "0" * 21 + ".log"])
def test_other_names_are_no_segments(name: str) -> None:
    assert parse_segment_file_name(name) is None


@given(topic=topics, partition=st.integers(0, 10**5))
def test_partition_directories_are_read_as_written(topic: str, partition: int) -> None:
    name = partition_directory_name(topic, partition)
    assert parse_partition_directory_name(name) == (topic, partition)


# The data directory


def test_a_new_directory_gets_an_identity_that_stays(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "data"
    first = DataDirectory(str(path), Disk(), 1)
    assert not first.was_clean
    assert len(first.cluster_id) == 22
    first.release()
    second = DataDirectory(str(path), Disk(), 1)
    assert second.cluster_id == first.cluster_id
    second.release()


def test_a_directory_keeps_the_node_that_it_began_with(tmp_path: Path) -> None:
    first = DataDirectory(str(tmp_path / "first"), Disk(), None)
    assert first.node_id == 1
    first.release()
    DataDirectory(str(tmp_path / "seventh"), Disk(), 7).release()
    again = DataDirectory(str(tmp_path / "seventh"), Disk(), None)
    assert again.node_id == 7
    again.release()
    with pytest.raises(DirectoryUnreadable, match="belongs to node"):
        DataDirectory(str(tmp_path / "seventh"), Disk(), 0)
    DataDirectory(str(tmp_path / "seventh"), Disk(), 7).release()


def test_only_a_clean_stop_leaves_the_mark(tmp_path: Path) -> None:
    opened = []
    for clean in (False, True, False):
        directory = DataDirectory(str(tmp_path), Disk(), 1)
        opened.append(directory.was_clean)
        directory.begin()
        if clean:
            directory.mark_clean()
        directory.release()
    assert opened == [False, False, True]
    assert not (tmp_path / file_names.CLEAN_SHUTDOWN).exists()


def test_a_start_that_changes_nothing_leaves_the_mark(tmp_path: Path) -> None:
    for _ in range(2):
        directory = DataDirectory(str(tmp_path), Disk(), 1)
        directory.mark_clean()
        directory.release()
    directory = DataDirectory(str(tmp_path), Disk(), 1)
    assert directory.was_clean
    directory.release()


def test_checkpoints_are_known_after_a_start(tmp_path: Path) -> None:
    directory = DataDirectory(str(tmp_path), Disk(), 1)
    directory.save_recovery_points({("t", 0): 7})
    directory.save_start_offsets({("t", 1): 3})
    directory.release()
    directory = DataDirectory(str(tmp_path), Disk(), 1)
    assert directory.last_known("t", 0) == LastKnown(7, None, False)
    assert directory.last_known("t", 1) == LastKnown(None, 3, False)
    directory.release()


def test_a_checkpoint_survives_whole_whatever_happens(tmp_path: Path) -> None:
    disk = FaultyDisk(tmp_path)
    directory = DataDirectory(str(tmp_path), disk, 1)
    directory.save_recovery_points({("t", 0): 7})
    disk.room_bytes = 3
    with pytest.raises(DiskFull):
        directory.save_recovery_points({("t", 0): 8})
    directory.release()
    directory = DataDirectory(str(tmp_path), FaultyDisk(tmp_path), 1)
    assert directory.last_known("t", 0).recovery_point == 7
    directory.release()


def hold(
    path: str, held: multiprocessing.synchronize.Event, done: multiprocessing.synchronize.Event
) -> None:
    directory = DataDirectory(path, Disk(), 1)
    held.set()
    done.wait(30)
    directory.release()


def test_a_second_process_is_told_who_holds_the_directory(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    held, done = spawn.Event(), spawn.Event()
    process = spawn.Process(target=hold, args=(str(tmp_path), held, done))
    process.start()
    try:
        assert held.wait(30)
        with pytest.raises(DirectoryInUse) as caught:
            DataDirectory(str(tmp_path), Disk(), 1)
        assert (caught.value.path, caught.value.pid) == (str(tmp_path), process.pid)
    finally:
        done.set()
        process.join(30)
    DataDirectory(str(tmp_path), Disk(), 1).release()


def test_a_lock_file_left_behind_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / file_names.LOCK).write_text(f"{os.getpid()}\n")
    DataDirectory(str(tmp_path), Disk(), 1).release()


@pytest.mark.parametrize(
    "content", [b"", b"version=0\ncluster.id=x\n", b"version=1\n", b"\xff\xfe", b"nonsense"]
)
def test_an_identity_that_is_not_ours_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / file_names.META_PROPERTIES).write_bytes(content)
    with pytest.raises(DirectoryUnreadable, match=r"meta\.properties"):
        DataDirectory(str(tmp_path), Disk(), 1)


def test_a_broken_checkpoint_is_named(tmp_path: Path) -> None:
    DataDirectory(str(tmp_path), Disk(), 1).release()
    (tmp_path / file_names.RECOVERY_POINTS).write_bytes(b"0\n5\n")
    with pytest.raises(DirectoryUnreadable, match="recovery-point"):
        DataDirectory(str(tmp_path), Disk(), 1)
    # The lock was given back.
    (tmp_path / file_names.RECOVERY_POINTS).unlink()
    DataDirectory(str(tmp_path), Disk(), 1).release()


def test_a_path_that_cannot_be_a_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DirectoryUnreadable) as caught:
            DataDirectory(str(path), Disk(), 1)
        assert caught.value.path == str(path)
