"""Checkpoints, leader epochs, names, and the data directory that holds them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.faulty_disk import FaultyDisk
from tidelog.storage.errors import DirectoryInUse, DirectoryUnreadable, DiskFull
from tidelog.storage.files import Disk
from tidelog.storage.local import file_names
from tidelog.storage.local.checkpoints import decode_checkpoint, encode_checkpoint
from tidelog.storage.local.data_directory import DataDirectory
from tidelog.storage.local.file_names import (
    parse_partition_directory_name,
    parse_segment_file_name,
    partition_directory_name,
    segment_file_name,
)
from tidelog.storage.local.leader_epochs import LeaderEpochs
from tidelog.storage.local.recovery import LastKnown

topics = st.text("abcXYZ019._-", min_size=1, max_size=20)


@given(offsets=st.dictionaries(st.tuples(topics, st.integers(0, 10**4)), st.integers(0, 2**62)))
def test_a_checkpoint_is_read_as_written(offsets: dict[tuple[str, int], int]) -> None:
    assert decode_checkpoint(encode_checkpoint(offsets)) == offsets


def test_a_checkpoint_is_kafkas_text_with_one_more_entry() -> None:
    checksum = b"#crc32c 0 551230929\n"
    written = encode_checkpoint({("a-b", 3): 70, ("t", 0): 0})
    assert written == b"0\n3\na-b 3 70\nt 0 0\n" + checksum
    theirs = b"0\n2\na-b 3 70\nt 0 0\n"
    assert decode_checkpoint(theirs) == decode_checkpoint(written) == {("a-b", 3): 70, ("t", 0): 0}


def test_a_checkpoint_proves_that_it_is_whole() -> None:
    offsets = {("a-b", 3): 70, ("t", 0): 0}
    data = encode_checkpoint(offsets)
    for at in range(len(data)):
        for bits in range(1, 256):
            damaged = data[:at] + bytes((data[at] ^ bits,)) + data[at + 1 :]
            with contextlib.suppress(ValueError):
                found = decode_checkpoint(damaged)
                assert {key: found.get(key) for key in offsets} == offsets
    for size in range(len(data)):
        with pytest.raises(ValueError):  # noqa: PT011
            decode_checkpoint(data[:size])


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
            directory.mark_clean({("t", 0): 80})
        directory.release()
    assert opened == [False, False, True]
    assert not (tmp_path / file_names.CLEAN_SHUTDOWN).exists()


def test_a_start_that_changes_nothing_leaves_the_mark(tmp_path: Path) -> None:
    for _ in range(2):
        directory = DataDirectory(str(tmp_path), Disk(), 1)
        directory.mark_clean({})
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


@pytest.mark.parametrize(
    "name",
    [
        file_names.RECOVERY_POINTS,
        file_names.END_POSITIONS,
        file_names.START_OFFSETS,
        file_names.CLEANER_OFFSETS,
    ],
)
@pytest.mark.parametrize("content", [b"0\n5\n", b"\0\0", b"0\n2\nt 0 8\n#crc32c 0 1\n", b"\xff"])
def test_a_broken_checkpoint_is_told_and_passed_over(
    tmp_path: Path, name: str, content: bytes
) -> None:
    DataDirectory(str(tmp_path), Disk(), 1).release()
    (tmp_path / name).write_bytes(content)
    directory = DataDirectory(str(tmp_path), Disk(), 1)
    assert directory.last_known("t", 0) == LastKnown(None, None, False)
    assert directory.cleaned_offset("t", 0) == 0
    (told,) = directory.findings
    assert told.startswith(f"{tmp_path / name} is damaged")
    directory.release()


def test_an_empty_checkpoint_of_the_cleaner_is_apache_kafkas(tmp_path: Path) -> None:
    (tmp_path / file_names.CLEANER_OFFSETS).touch()
    directory = DataDirectory(str(tmp_path), Disk(), 1)
    assert not directory.findings
    directory.release()


# The directory's identity


def identities(path: Path) -> tuple[str, int, list[str]]:
    directory = DataDirectory(str(path), Disk(), None)
    directory.release()
    return directory.cluster_id, directory.node_id, directory.findings


@pytest.mark.parametrize("content", [None, b"", b"\0" * 90, b"version=1\n", b"versiom=1"])
def test_a_lost_identity_comes_back(tmp_path: Path, content: bytes | None) -> None:
    DataDirectory(str(tmp_path), Disk(), 7).release()
    before = identities(tmp_path)
    path = tmp_path / file_names.META_PROPERTIES
    text = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    cluster_id, node_id, (told,) = identities(tmp_path)
    assert (cluster_id, node_id) == before[:2]
    assert str(path) in told
    assert path.read_bytes() == text
    if content is not None:
        assert path.with_name("meta.properties.damaged").read_bytes() == content
    assert identities(tmp_path) == before


def test_one_other_letter_in_an_id_is_damage_another_id_is_a_wish(tmp_path: Path) -> None:
    cluster_id, _, _ = identities(tmp_path)
    path = tmp_path / file_names.META_PROPERTIES
    text = path.read_text()
    letter = "x" if cluster_id[5] != "x" else "y"
    path.write_text(text.replace(cluster_id, cluster_id[:5] + letter + cluster_id[6:]))
    assert identities(tmp_path)[0] == cluster_id
    assert path.read_text() == text
    path.write_text(text.replace(cluster_id, "4L6g3nShT-eMCtK--X86sw"))
    assert identities(tmp_path)[0] == "4L6g3nShT-eMCtK--X86sw"
    path.write_text(text.replace("node.id=1", "node.id=2"))
    told = identities(tmp_path)
    assert told[1] == 2
    assert "node.id=1" in told[2][0]
    assert not identities(tmp_path)[2]


def test_a_copy_that_is_damaged_is_made_again(tmp_path: Path) -> None:
    before = identities(tmp_path)
    path = tmp_path / file_names.META_COPY
    sound = path.read_bytes()
    for content in (b"", bytes(20), sound[:-1], None):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        assert identities(tmp_path) == before
        assert path.read_bytes() == sound


def test_a_path_that_cannot_be_a_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DirectoryUnreadable) as caught:
            DataDirectory(str(path), Disk(), 1)
        assert caught.value.path == str(path)
