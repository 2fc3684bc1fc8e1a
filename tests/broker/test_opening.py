"""A start opens what it can: the rest is offline, with its reason, and left as it is."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.refusing_disk import RefusingDisk
from tests.support.segment_files import check_indexes
from tidelog.broker.broker import Broker
from tidelog.broker.environment import Environment
from tidelog.broker.errors import PartitionOffline
from tidelog.broker.local.local_log import log_of
from tidelog.broker.partition import Partition
from tidelog.broker.settings.broker_settings import BrokerSettings
from tidelog.storage.batches.record_batch import encode_batch
from tidelog.storage.errors import DiskFailed, DiskFull, StorageError, WritesStopped
from tidelog.storage.files import Disk
from tidelog.storage.local.checkpoints import decode_checkpoint
from tidelog.storage.local.recovery_watch import Interrupted

NOW = 1_700_000_000_000
RECOVERY_POINTS = "recovery-point-offset-checkpoint"


async def start(path: Path, disk: RefusingDisk | None = None) -> Broker:
    return await Broker.open(str(path), BrokerSettings({}, {}), Environment(disk=disk or Disk()))


def produce(partition: Partition) -> int:
    return partition.append(encode_batch([(NOW, b"key", b"value", ())])).last_offset + 1


async def two_partitions(path: Path, *, clean: bool) -> None:
    """A stopped directory with topic t: five records in either partition."""
    broker = await start(path)
    topic = await broker.create_topic("t", 2)
    for partition in topic.partitions:
        for _ in range(5):
            produce(partition)
        await partition.flushed(5)
    if clean:
        await broker.close()
    else:
        await broker.store.save_recovery_points()
        broker.store.directory.release()


def logs(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.glob("*.log*")}


def points(path: Path) -> dict[str, int]:
    found = decode_checkpoint((path / RECOVERY_POINTS).read_bytes())
    return {f"{topic}-{partition}": point for (topic, partition), point in found.items()}


REFUSALS = [
    ("sizes", "", errno.EIO, True),
    ("sizes", "", errno.EACCES, True),
    ("sizes", "", errno.EMFILE, False),
    ("open", "/*.log", errno.EMFILE, False),
    ("open", "/*.log", errno.ENFILE, False),
    ("read", "/*.log", errno.EIO, False),
    ("read_bytes", "/leader-epoch-checkpoint", errno.EIO, True),
    ("read_bytes", "/*.snapshot", errno.EIO, True),
    ("write_atomically", "/leader-epoch-checkpoint", errno.EROFS, False),
]


@pytest.mark.parametrize(("action", "file", "number", "clean"), REFUSALS)
async def test_a_log_that_cannot_be_opened_is_offline(
    tmp_path: Path, action: str, file: str, number: int, clean: bool
) -> None:
    await two_partitions(tmp_path, clean=clean)
    disk = RefusingDisk()
    before = logs(tmp_path / "t-0")
    if not clean:
        # So that there is something to be read again.
        (tmp_path / RECOVERY_POINTS).unlink()
    with disk.refusing(action, "*/t-0" + file, number):
        broker = await start(tmp_path, disk)
    topic = broker.topic("t")
    offline = topic.partitions[0]
    assert offline.offline is not None
    assert os.strerror(number) in offline.offline or "too many files" in offline.offline
    assert "t-0" in offline.offline
    [told] = broker.store.stopped()
    assert told == ("t", 0, offline.offline)
    with pytest.raises(PartitionOffline) as caught:
        topic.partition(0)
    assert (caught.value.topic, caught.value.partition) == ("t", 0)
    assert produce(topic.partition(1)) == 6
    with pytest.raises(PartitionOffline):
        topic.all_online()
    await broker.close()
    assert not (tmp_path / ".kafka_cleanshutdown").exists()
    assert logs(tmp_path / "t-0") == before
    again = await start(tmp_path)
    assert [p.end_offset for p in again.topic("t").all_online()] == [5, 6]
    assert not again.store.stopped()
    await again.close()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize(
    ("action", "pattern"), [("write_atomically", "*"), ("open", "*index"), ("append", "*index")]
)
async def test_a_full_disk_keeps_no_log_from_being_read(
    tmp_path: Path, action: str, pattern: str, number: int
) -> None:
    await two_partitions(tmp_path, clean=False)
    (tmp_path / RECOVERY_POINTS).unlink()
    disk = RefusingDisk()
    with disk.refusing(action, pattern, number):
        broker = await start(tmp_path, disk)
        partitions = broker.topic("t").all_online()
        assert [p.end_offset for p in partitions] == [5, 5]
        assert (await partitions[0].read(0, 10_000)).next_offset == 5
        if action == "write_atomically":
            with pytest.raises(DiskFull):
                produce(partitions[0])
    assert [produce(p) for p in partitions] == [6, 6]
    assert not broker.store.stopped()
    epoch = partitions[0].leader_epoch
    assert epoch == 1
    await broker.close()
    again = await start(tmp_path)
    assert again.started_clean
    assert [(p.end_offset, p.leader_epoch) for p in again.topic("t").all_online()] == [(6, 1)] * 2
    for partition in again.topic("t").partitions:
        check_indexes(Path(log_of(partition).active.path(".log")), complete=True)
    await again.close()


async def test_what_is_known_of_an_offline_log_is_kept(tmp_path: Path) -> None:
    broker = await start(tmp_path)
    topic = await broker.create_topic("t", 2)
    for partition in topic.partitions:
        for _ in range(5):
            produce(partition)
        await partition.delete_records(3)
    await broker.close()
    before = points(tmp_path)
    assert before == {"t-0": 5, "t-1": 5}
    disk = RefusingDisk()
    with disk.refusing("sizes", "*/t-0", errno.EIO):
        broker = await start(tmp_path, disk)
    produce(broker.topic("t").partition(1))
    await broker.topic("t").partition(1).delete_records(4)
    await broker.close()
    assert points(tmp_path) == {"t-0": 5, "t-1": 6}
    again = await start(tmp_path)
    assert [(p.start_offset, p.end_offset) for p in again.topic("t").partitions] == [(3, 5), (4, 6)]
    await again.close()


async def test_an_offline_log_shows_nothing_and_takes_nothing(tmp_path: Path) -> None:
    await two_partitions(tmp_path, clean=True)
    disk = RefusingDisk()
    with disk.refusing("sizes", "*/t-0", errno.EIO):
        broker = await start(tmp_path, disk)
    offline = broker.topic("t").partitions[0]
    with pytest.raises(WritesStopped):
        produce(offline)
    for read in (
        offline.read(0, 100),
        offline.fetch(0, 100),
        offline.offset_for_timestamp(0),
        offline.offset_of_largest_timestamp(),
        offline.timestamp_at(0),
    ):
        with pytest.raises(StorageError):
            await read
    with pytest.raises(StorageError):
        offline.seal()
    assert await offline.segments() == []
    await broker.housekeeping.run(NOW)
    await broker.compaction.run(NOW)
    assert [plan.partition for plan in await broker.housekeeping.plan(broker.topic("t"), NOW)] == [
        1
    ]
    await broker.alter_topic("t", {"retention.ms": "5"})
    assert len((await broker.add_partitions("t", 3)).partitions) == 3
    await broker.delete_topic("t")
    await broker.close()
    assert not [one for one in os.listdir(tmp_path) if one.startswith("t-") and "delete" not in one]


async def test_bytes_that_nobody_foresaw_keep_one_partition_from_being_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await two_partitions(tmp_path, clean=True)
    monkeypatch.setattr(RefusingDisk, "sizes", failing_for_t_0(RefusingDisk.sizes))
    broker = await start(tmp_path, RefusingDisk())
    assert [p.offline for p in broker.topic("t").partitions] == ["IndexError: nobody knows", None]
    assert "Traceback" in caplog.text
    await broker.close()


Sizes = Callable[[RefusingDisk, str], dict[str, int]]


def failing_for_t_0(sizes: Sizes) -> Sizes:
    def fail(disk: RefusingDisk, directory: str) -> dict[str, int]:
        if directory.endswith("t-0"):
            raise IndexError("nobody knows")
        return sizes(disk, directory)

    return fail


def dangling_link(directory: Path) -> None:
    (directory / "link").symlink_to(directory / "nowhere")


def directories(directory: Path) -> None:
    (directory / "own" / "deeper").mkdir(parents=True)
    (directory / "00000000000000000009.log.deleted").mkdir()


def strange_names(directory: Path) -> None:
    for name in ("x" * 255, "00000000000000000000", "0.log", "½.log", ".log", "notes.txt"):
        (directory / name).write_bytes(b"\xff")


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("stray", [dangling_link, directories, strange_names])
async def test_strange_entries_are_left_alone(
    tmp_path: Path, stray: Callable[[Path], None], clean: bool
) -> None:
    await two_partitions(tmp_path, clean=clean)
    stray(tmp_path / "t-0")
    stray(tmp_path)
    before = set(os.listdir(tmp_path / "t-0"))
    broker = await start(tmp_path)
    assert [p.end_offset for p in broker.topic("t").all_online()] == [5, 5]
    await broker.close()
    assert set(os.listdir(tmp_path / "t-0")) >= before


async def test_leftovers_that_cannot_be_removed_do_no_harm(tmp_path: Path) -> None:
    await two_partitions(tmp_path, clean=True)
    leftover = tmp_path / "t-0" / "00000000000000000000.log.deleted"
    leftover.write_text("old")
    disk = RefusingDisk()
    with disk.refusing("remove", str(leftover), errno.EPERM):
        broker = await start(tmp_path, disk)
    assert len(broker.topic("t").all_online()) == 2
    [told] = broker.opening.unfinished
    assert str(leftover) in told
    await broker.close()
    again = await start(tmp_path)
    assert not leftover.exists()
    await again.close()


@pytest.mark.parametrize("clean", [True, False])
async def test_a_directory_that_is_gone_is_told_and_its_offsets_are_not_given_again(
    tmp_path: Path, clean: bool
) -> None:
    await two_partitions(tmp_path, clean=clean)
    shutil.rmtree(tmp_path / "t-0")
    broker = await start(tmp_path)
    [told] = broker.opening.unfinished
    assert str(tmp_path / "t-0") in told
    partition = broker.topic("t").partition(0)
    assert (partition.start_offset, partition.end_offset) == (5, 5)
    assert produce(partition) == 6
    await broker.close()
    again = await start(tmp_path)
    assert [(p.start_offset, p.end_offset) for p in again.topic("t").partitions] == [(5, 6), (0, 5)]
    assert not again.opening.unfinished
    await again.close()


async def test_a_file_where_a_directory_should_be(tmp_path: Path) -> None:
    await two_partitions(tmp_path, clean=True)
    shutil.rmtree(tmp_path / "t-0")
    (tmp_path / "t-0").write_text("mine")
    broker = await start(tmp_path)
    assert [p.offline is None for p in broker.topic("t").partitions] == [False, True]
    await broker.close()
    assert (tmp_path / "t-0").read_text() == "mine"


async def test_settings_that_are_not_acceptable_any_more_are_done_without(tmp_path: Path) -> None:
    broker = await start(tmp_path)
    await broker.create_topic("t", 1, {"retention.ms": "5", "segment.bytes": "2000000"})
    await broker.close()
    database = sqlite3.connect(tmp_path / "catalog.sqlite")
    kept = {"retention.ms": "soon", "segment.bytes": "2000000", "no.such.setting": "1"}
    database.execute("UPDATE topics SET settings = ?", (json.dumps(kept),))
    database.commit()
    database.close()
    (tmp_path / "t-0" / "topic.metadata").unlink()
    again = await start(tmp_path)
    assert again.topic("t").settings.overrides == {"segment.bytes": "2000000"}
    assert len(again.opening.unfinished) == 2
    await again.close()


@pytest.mark.parametrize("clean", [True, False])
async def test_a_start_that_is_interrupted_changes_little_and_lets_go(
    tmp_path: Path, clean: bool
) -> None:
    await two_partitions(tmp_path, clean=clean)
    broker = Broker(str(tmp_path), BrokerSettings({}, {}))
    broker.opening.interrupt()
    with pytest.raises(Interrupted):
        await broker.start()
    assert broker.recovering
    assert not (tmp_path / ".kafka_cleanshutdown").exists()
    again = await start(tmp_path)
    assert [p.end_offset for p in again.topic("t").all_online()] == [5, 5]
    await again.close()


async def test_progress_counts_partitions_and_the_bytes_that_are_read_again(tmp_path: Path) -> None:
    await two_partitions(tmp_path, clean=False)
    (tmp_path / RECOVERY_POINTS).unlink()
    size = sum(len(log) for name in ("t-0", "t-1") for log in logs(tmp_path / name).values())
    broker = await start(tmp_path)
    assert broker.opening.progress == (2, 2, size, size)
    await broker.close()
    again = await start(tmp_path)
    assert again.opening.progress == (2, 2, 0, 0)
    await again.close()


async def test_a_directory_that_cannot_be_changed_ends_the_start_with_a_reason(
    tmp_path: Path,
) -> None:
    await two_partitions(tmp_path, clean=True)
    disk = RefusingDisk()
    with (
        disk.refusing("remove", "*/.kafka_cleanshutdown", errno.EROFS),
        pytest.raises(DiskFailed) as caught,
    ):
        await start(tmp_path, disk)
    assert caught.value.reason == os.strerror(errno.EROFS)
    again = await start(tmp_path)
    assert again.started_clean
    await again.close()
