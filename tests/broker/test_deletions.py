"""Topics that are deleted: whatever their name, and whatever the disk refuses meanwhile."""

from __future__ import annotations

import asyncio
import errno
import os
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.broker_process import BrokerProcess
from tests.support.refusing_disk import RefusingDisk
from tidelog.broker.broker import Broker
from tidelog.broker.environment import Environment
from tidelog.broker.errors import UnknownTopic
from tidelog.broker.partition import Partition
from tidelog.broker.settings.broker_settings import BrokerSettings
from tidelog.storage.batches.record_batch import encode_batch
from tidelog.storage.errors import DiskFailed
from tidelog.storage.files import Disk
from tidelog.storage.local.file_names import (
    NAME_MAX,
    is_set_aside,
    parse_partition_directory_name,
    set_aside_directory_name,
)

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
NOW = 1_700_000_000_000


def open_broker(path: Path, disk: RefusingDisk | None = None, **settings: str) -> Broker:
    named = {name.replace("_", "."): value for name, value in settings.items()}
    return Broker(str(path), BrokerSettings(named, {}), Environment(disk=disk or Disk()))


def produce(partition: Partition, value: bytes) -> int:
    return partition.append(encode_batch([(NOW, b"key", value, ())])).last_offset + 1


def left(path: Path) -> list[str]:
    """The directories of partitions, under whatever name."""
    return sorted(one.name for one in path.iterdir() if one.is_dir())


@pytest.fixture
def disk() -> RefusingDisk:
    return RefusingDisk()


@pytest.fixture
async def broker(tmp_path: Path, disk: RefusingDisk) -> AsyncIterator[Broker]:
    broker = open_broker(tmp_path, disk)
    await broker.start()
    yield broker
    if not broker.closing:
        await broker.close()


@given(
    topic=st.text(LETTERS, min_size=1, max_size=249),
    partition=st.integers(0, 9_999),
    suffix=st.sampled_from(["-delete", "-stray"]),
)
def test_a_name_for_what_is_set_aside_always_fits(topic: str, partition: int, suffix: str) -> None:
    unique = uuid.uuid4().hex
    name = set_aside_directory_name(topic, partition, unique, suffix)
    assert len(name) <= NAME_MAX
    assert name.endswith(f"-{partition}.{unique}{suffix}")
    assert topic.startswith(name.removesuffix(f"-{partition}.{unique}{suffix}"))
    assert is_set_aside(name, suffix)
    assert not is_set_aside(name, "-delete" if suffix == "-stray" else "-stray")
    assert parse_partition_directory_name(name) is None


@pytest.mark.parametrize(
    "name", ["to-delete", "-delete", "t-0-delete", f"t-0.{'g' * 32}-delete", f"t.{'0' * 32}-delete"]
)
def test_other_names_are_somebody_elses(name: str) -> None:
    assert not is_set_aside(name, "-delete")


@pytest.mark.parametrize("length", [1, 200, 213, 214, 247, 248, 249])
async def test_a_topic_of_any_name_is_deleted(broker: Broker, tmp_path: Path, length: int) -> None:
    name = "n" * length
    await broker.create_topic(name, 11)
    await broker.delete_topic(name)
    assert len(left(tmp_path)) == 11
    await broker.close()
    again = open_broker(tmp_path)
    await again.start()
    assert not left(tmp_path)
    assert again.topics() == again.opening.unfinished == []
    assert (await again.create_topic(name, 1)).partition(0).end_offset == 0
    await again.close()


async def test_a_start_goes_on_where_an_older_one_could_not(tmp_path: Path) -> None:
    """The topic is marked as deleted, its directories have their names still."""
    name = "n" * 249
    broker = open_broker(tmp_path)
    await broker.start()
    topic = await broker.create_topic(name, 2)
    await broker.create_topic("other", 1)
    await broker.catalog.mark_deleting(topic.id)
    await broker.close()
    again = open_broker(tmp_path)
    await again.start()
    assert [topic.name for topic in again.topics()] == ["other"]
    assert left(tmp_path) == ["other-0"]
    await again.close()


async def test_what_cannot_be_removed_stays_and_is_told(broker: Broker, tmp_path: Path) -> None:
    await broker.create_topic("kept", 1)
    await broker.close()
    deleted = f"gone-0.{'0' * 32}-delete"
    (tmp_path / deleted / "somebody's own").mkdir(parents=True)
    (tmp_path / f"file-0.{'0' * 32}-delete").write_text("")
    (tmp_path / "to-delete").mkdir()
    (tmp_path / "to-delete" / "letter").write_text("mine")
    again = open_broker(tmp_path)
    await again.start()
    assert [topic.name for topic in again.topics()] == ["kept"]
    assert [problem.partition(" ")[0] for problem in again.opening.unfinished] == [
        f"file-0.{'0' * 32}-delete",
        deleted,
    ]
    assert (tmp_path / "to-delete" / "letter").read_text() == "mine"
    await again.close()


@pytest.mark.parametrize("action", ["rename", "sync_directory"])
async def test_a_deletion_that_the_disk_refuses_is_finished_before_the_name_is_used_again(
    broker: Broker, disk: RefusingDisk, tmp_path: Path, action: str
) -> None:
    produce((await broker.create_topic("t", 2)).partition(0), b"old")
    with disk.refusing(action, "*", errno.EIO):
        await broker.delete_topic("t")
        with pytest.raises(UnknownTopic):
            broker.topic("t")
        with pytest.raises(DiskFailed):
            await broker.create_topic("t", 2)
    assert produce((await broker.create_topic("t", 2)).partition(0), b"new") == 1
    await broker.close()
    again = open_broker(tmp_path)
    await again.start()
    assert [p.end_offset for p in again.topic("t").partitions] == [1, 0]
    await again.close()


async def test_a_deletion_that_the_disk_refuses_is_finished_by_the_next_start(
    broker: Broker, disk: RefusingDisk, tmp_path: Path
) -> None:
    await broker.create_topic("t", 2)
    with disk.refusing("rename", "*/t-1", errno.EACCES):
        await broker.delete_topic("t")
        await broker.close()
        stubborn = open_broker(tmp_path, disk)
        await stubborn.start()
        assert stubborn.topics() == []
        assert [problem.partition(" ")[0] for problem in stubborn.opening.unfinished] == ["t-1"]
        await stubborn.close()
    again = open_broker(tmp_path)
    await again.start()
    assert again.topics() == again.opening.unfinished == left(tmp_path) == []
    await again.close()


async def test_a_topic_can_be_deleted_on_a_full_disk(
    broker: Broker, disk: RefusingDisk, tmp_path: Path
) -> None:
    await broker.create_topic("t", 1, {"file.delete.delay.ms": "0"})
    with disk.refusing("write_atomically", "*", errno.ENOSPC):
        await broker.delete_topic("t")
        for _ in range(10):
            await asyncio.sleep(0)
        await broker.store.in_thread(lambda: None)
        assert left(tmp_path) == []
    await broker.create_topic("t", 1)
    await broker.close()
    again = open_broker(tmp_path)
    await again.start()
    assert [topic.name for topic in again.topics()] == ["t"]
    await again.close()


@pytest.mark.parametrize("delay_ms", [0, 1, 2**63 - 1])
def test_files_go_after_the_shortest_and_the_longest_delay(
    start_broker: Callable[..., BrokerProcess], delay_ms: int
) -> None:
    """In the event loop that serves: its timers are not those of asyncio."""
    process = start_broker("--set", f"log.segment.delete.delay.ms={delay_ms}")
    with process.client() as http:
        for name in ("a", "b", "kept"):
            http.post("/v1/topics", json={"name": name, "partitions": 1}).raise_for_status()
        http.post("/v1/topics/kept/records", json={"records": [{"value": 1}]}).raise_for_status()
        assert http.delete("/v1/topics/a").status_code == 204
        assert http.delete("/v1/topics/b").status_code == 204
        trimmed = http.delete("/v1/topics/kept/partitions/0/records", params={"before_offset": 1})
        assert trimmed.status_code == 200
        settings = {"settings": {"file.delete.delay.ms": str(delay_ms)}}
        http.patch("/v1/topics/kept", json=settings).raise_for_status()
        http.post("/v1/topics/kept/records", json={"records": [{"value": 2}]}).raise_for_status()
        trimmed = http.delete("/v1/topics/kept/partitions/0/records", params={"before_offset": 2})
        assert trimmed.status_code == 200
    process.stop()
    assert "Traceback" not in process.stderr
    waiting = [one for one in os.listdir(process.data_dir) if one.endswith("-delete")]
    assert len(waiting) == (2 if delay_ms > 1 else 0)
