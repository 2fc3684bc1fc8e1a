"""The catalog of a real broker: lost, damaged, older than the directory, copied without its log.

Whatever becomes of it, topics are what they were, nothing that was deleted comes back, and no
producer id is given twice.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.manual_clock import ManualClock
from tidelog.broker.broker import Broker
from tidelog.broker.catalog.producer_ids import BLOCK as PRODUCER_ID_BLOCK
from tidelog.broker.environment import Environment
from tidelog.broker.errors import CatalogUnreadable
from tidelog.broker.settings.broker_settings import BrokerSettings
from tidelog.storage.batches.record_batch import encode_batch

NOW = 1_700_000_000_000
NAME = "catalog.sqlite"
OWN = {"retention.ms": "-1", "retention.wait.for.groups": "grüße,b"}
GROUP = {"consumer.session.timeout.ms": "50000"}
Settings = dict[str, str]


async def open_broker(path: Path) -> Broker:
    return await Broker.open(str(path), BrokerSettings({}, {}), Environment(clock=ManualClock(NOW)))


def topics(broker: Broker) -> dict[str, tuple[str, int, Settings, list[int]]]:
    """All that makes each topic, and how far its logs reach."""
    return {
        topic.name: (
            str(topic.id),
            len(topic.partitions),
            dict(topic.settings.overrides),
            [partition.end_offset for partition in topic.partitions],
        )
        for topic in broker.topics()
    }


def produce(broker: Broker, topic: str, producer_id: int = -1) -> None:
    batch = encode_batch(
        [(NOW, b"key", topic.encode(), ())],
        producer_id=producer_id,
        producer_epoch=0,
        base_sequence=0,
    )
    broker.topic(topic).partition(0).append(batch)


async def fill(broker: Broker) -> int:
    """Topics with and without settings, one that is gone; the last producer id that was given."""
    await broker.create_topic("plain", 1)
    await broker.create_topic("own", 3, OWN)
    await broker.create_topic("gone", 2)
    await broker.delete_topic("gone")
    await broker.catalog.set_group_settings("gruppe ü", GROUP)
    given = await broker.producer_ids.allocate()
    produce(broker, "own", given)
    return given


def names(path: Path, pattern: str) -> list[Path]:
    return sorted(path.glob(pattern))


def remove(path: Path, pattern: str) -> None:
    for file in names(path, pattern):
        file.unlink()


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


def missing(path: Path) -> None:
    path.unlink()


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def foreign(path: Path) -> None:
    path.write_bytes(b"not a database " * 100)


def another_database(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE letters (text TEXT)")


DAMAGES = [missing, zeroed, short, empty, foreign, another_database]


@pytest.mark.parametrize("with_copy", [True, False])
@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_lost_catalog_loses_nothing(
    tmp_path: Path, damage: Callable[[Path], None], with_copy: bool
) -> None:
    broker = await open_broker(tmp_path)
    given = await fill(broker)
    before = topics(broker)
    await broker.close()
    damage(tmp_path / NAME)
    damaged = (tmp_path / NAME).read_bytes() if (tmp_path / NAME).exists() else b""
    if not with_copy:
        (tmp_path / "catalog-checkpoint").unlink()
    again = await open_broker(tmp_path)
    assert topics(again) == before
    assert await again.catalog.group_settings() == ({"gruppe ü": GROUP} if with_copy else {})
    following = await again.producer_ids.allocate()
    assert following >= (PRODUCER_ID_BLOCK if with_copy else NOW * 1000)
    assert following > given
    (told,) = again.opening.findings
    assert str(tmp_path / NAME) in told
    assert "rebuilt from the directories: topics own, plain" in told
    assert ("the settings of groups" in told.partition("not rebuilt")[2]) != with_copy
    if damaged:
        assert (tmp_path / f"{NAME}.damaged").read_bytes() == damaged
        assert f"{NAME}.damaged" in told
    await again.close()
    once_more = await open_broker(tmp_path)
    assert not once_more.opening.findings
    assert topics(once_more) == before
    assert await once_more.producer_ids.allocate() >= following + PRODUCER_ID_BLOCK
    await once_more.close()


async def test_a_write_ahead_log_without_its_catalog_is_kept(tmp_path: Path) -> None:
    broker = await open_broker(tmp_path)
    await fill(broker)
    before = topics(broker)
    await broker.close()
    (tmp_path / NAME).unlink()
    (tmp_path / f"{NAME}-wal").write_bytes(b"changes" * 100)
    again = await open_broker(tmp_path)
    assert topics(again) == before
    assert (
        f"its write-ahead log is kept as {tmp_path / NAME}.damaged-wal" in again.opening.findings[0]
    )
    assert (tmp_path / f"{NAME}.damaged-wal").read_bytes() == b"changes" * 100
    await again.close()


async def test_a_second_damaged_catalog_does_not_replace_the_first(tmp_path: Path) -> None:
    broker = await open_broker(tmp_path)
    await fill(broker)
    await broker.close()
    for content in (b"first" * 1000, b"second" * 1000):
        (tmp_path / NAME).write_bytes(content)
        await (await open_broker(tmp_path)).close()
    assert (tmp_path / f"{NAME}.damaged").read_bytes() == b"first" * 1000
    assert (tmp_path / f"{NAME}.damaged-1").read_bytes() == b"second" * 1000


async def test_a_copy_without_the_write_ahead_log_is_whole_at_any_time(tmp_path: Path) -> None:
    broker = await open_broker(tmp_path / "data")
    copies = 0

    async def check() -> None:
        nonlocal copies
        copies += 1
        copy = tmp_path / f"copy-{copies}"
        ignored = shutil.ignore_patterns("*-wal", "*-shm", "topic.metadata", "catalog-checkpoint")
        shutil.copytree(tmp_path / "data", copy, ignore=ignored)
        found = await open_broker(copy)
        assert topics(found) == topics(broker)
        assert await found.catalog.group_settings() == await broker.catalog.group_settings()
        assert not found.opening.findings
        await found.close()

    await check()
    await broker.create_topic("own", 2, OWN)
    await check()
    await broker.alter_topic("own", {"retention.ms": "5"})
    await check()
    await broker.add_partitions("own", 3)
    await check()
    await broker.catalog.set_group_settings("g", GROUP)
    await check()
    await broker.delete_topic("own")
    await check()
    await broker.close()


async def test_an_older_catalog_is_mended_from_the_directories(tmp_path: Path) -> None:
    data = tmp_path / "data"
    broker = await open_broker(data)
    for name in ("kept", "deleted", "made-anew", "altered", "grown"):
        await broker.create_topic(name, 1, {"retention.ms": "1"})
    await broker.catalog.set_group_settings("g", {"consumer.session.timeout.ms": "46000"})
    await broker.producer_ids.allocate()
    shutil.copy(data / NAME, tmp_path / "older")
    await broker.create_topic("later", 2, OWN)
    await broker.delete_topic("deleted")
    await broker.delete_topic("made-anew")
    await broker.create_topic("made-anew", 2)
    await broker.alter_topic("altered", OWN)
    await broker.add_partitions("grown", 4)
    await broker.catalog.set_group_settings("g", GROUP)
    given = [await broker.producer_ids.allocate() for _ in range(PRODUCER_ID_BLOCK)]
    for topic in broker.topics():
        produce(broker, topic.name)
    before = topics(broker)
    await broker.close()
    shutil.copy(tmp_path / "older", data / NAME)
    again = await open_broker(data)
    assert topics(again) == before
    assert await again.catalog.group_settings() == {"g": GROUP}
    assert await again.producer_ids.allocate() > given[-1]
    told = "; ".join(again.opening.findings)
    assert "is older than the directory" in told
    assert "gone: topics deleted" in told
    await again.close()


async def test_a_catalog_and_its_copy_that_are_older_give_no_producer_id_twice(
    tmp_path: Path,
) -> None:
    broker = await open_broker(tmp_path / "data")
    await broker.create_topic("t", 1)
    for name in (NAME, "catalog-checkpoint"):
        shutil.copy(tmp_path / "data" / name, tmp_path / name)
    given = [await broker.producer_ids.allocate() for _ in range(PRODUCER_ID_BLOCK + 1)]
    produce(broker, "t", given[-1])
    produce(broker, "t", 1 << 62)
    await broker.close()
    for name in (NAME, "catalog-checkpoint"):
        shutil.copy(tmp_path / name, tmp_path / "data" / name)
    again = await open_broker(tmp_path / "data")
    assert await again.producer_ids.allocate() == NOW * 1000
    assert "producer ids go on at" in again.opening.findings[-1]
    await again.close()


async def make_older(path: Path) -> None:
    """What versions left that kept a topic's settings in the catalog alone."""
    broker = await open_broker(path)
    await fill(broker)
    await broker.close()
    (path / "catalog-checkpoint").unlink()
    remove(path, "*/topic.metadata")
    with sqlite3.connect(path / NAME) as connection:
        connection.execute("DELETE FROM meta WHERE name = 'changes'")
        connection.execute("UPDATE meta SET value = '1' WHERE name = 'schema'")
        connection.execute("DROP TABLE changed_settings")
        connection.execute("CREATE TABLE broker_settings (name TEXT PRIMARY KEY, value TEXT)")
    connection.close()


async def test_the_directory_of_an_older_version_becomes_one_of_this(tmp_path: Path) -> None:
    await make_older(tmp_path)
    broker = await open_broker(tmp_path)
    assert not broker.opening.findings
    before = topics(broker)
    assert before["own"][1:] == (3, OWN, [1, 0, 0])
    groups = await broker.catalog.group_settings()
    await broker.close()
    (tmp_path / NAME).unlink()
    again = await open_broker(tmp_path)
    assert topics(again) == before
    assert await again.catalog.group_settings() == groups == {"gruppe ü": GROUP}
    await again.close()


@pytest.mark.parametrize("copied_without_log", [True, False])
async def test_the_directory_of_an_older_version_without_its_catalog(
    tmp_path: Path, copied_without_log: bool
) -> None:
    await make_older(tmp_path)
    (tmp_path / NAME).unlink()
    if copied_without_log:
        with sqlite3.connect(tmp_path / NAME) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.close()
    broker = await open_broker(tmp_path)
    assert {name: row[1:] for name, row in topics(broker).items()} == {
        "plain": (1, {}, [0]),
        "own": (3, {}, [1, 0, 0]),
    }
    (told,) = broker.opening.findings
    assert "not rebuilt: the settings of topics own, plain, the settings of groups" in told
    await broker.close()


async def test_a_flipped_byte_anywhere_in_the_catalog_changes_nothing(tmp_path: Path) -> None:
    broker = await open_broker(tmp_path / "data")
    await fill(broker)
    before, groups = topics(broker), await broker.catalog.group_settings()
    await broker.close()
    sound = (tmp_path / "data" / NAME).read_bytes()
    copy = (tmp_path / "data" / "catalog-checkpoint").read_bytes()
    used = [at for at in range(len(sound)) if sound[at]]
    refused: list[str] = []
    for at in (*used[::11], 18, 19, 28, 56, 60, 63, 100):
        remove(tmp_path / "data", f"{NAME}*")
        (tmp_path / "data" / NAME).write_bytes(flipped(sound, at))
        (tmp_path / "data" / "catalog-checkpoint").write_bytes(copy)
        try:
            found = await open_broker(tmp_path / "data")
        except CatalogUnreadable as error:
            refused.append(str(error))
            continue
        assert topics(found) == before, at
        assert await found.catalog.group_settings() == groups, at
        assert await found.producer_ids.allocate() >= PRODUCER_ID_BLOCK, at
        await found.close()
    assert all("schema is version" in reason for reason in refused)
    assert len(refused) < 3


async def test_a_catalog_that_cannot_be_had_now_stays_as_it_is(tmp_path: Path) -> None:
    broker = await open_broker(tmp_path)
    await fill(broker)
    await broker.close()
    later = sqlite3.connect(tmp_path / NAME)
    later.execute("UPDATE meta SET value = '3' WHERE name = 'schema'")
    later.commit()
    later.close()
    content = (tmp_path / NAME).read_bytes()
    with pytest.raises(CatalogUnreadable, match="schema is version 3"):
        await open_broker(tmp_path)
    assert (tmp_path / NAME).read_bytes() == content
    (tmp_path / NAME).unlink()
    (tmp_path / NAME).mkdir()
    with pytest.raises(CatalogUnreadable, match="unable to open"):
        await open_broker(tmp_path)
    assert not names(tmp_path, "*.damaged*")


async def test_a_directory_that_no_topic_has_is_left_and_never_used(tmp_path: Path) -> None:
    broker = await open_broker(tmp_path)
    await broker.create_topic("t", 1)
    produce(broker, "t")
    await broker.close()
    (tmp_path / "empty-0").mkdir()
    shutil.copytree(tmp_path / "t-0", tmp_path / "copied-0")
    shutil.copytree(tmp_path / "t-0", tmp_path / "t-1")
    (tmp_path / "file-0").write_text("")
    for _ in range(2):
        again = await open_broker(tmp_path)
        assert list(topics(again)) == ["t"]
        told = [one.partition(" ")[0] for one in again.opening.unfinished]
        assert told == ["copied-0", "empty-0", "t-1"]
        await again.close()
    again = await open_broker(tmp_path)
    await again.create_topic("copied", 1)
    await again.add_partitions("t", 2)
    assert {name: row[3] for name, row in topics(again).items()} == {"copied": [0], "t": [1, 0]}
    await again.close()
    assert len(names(tmp_path, "*-stray/*.log")) == 2


async def test_an_interrupted_creation_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    broker = await open_broker(tmp_path)
    await broker.create_topic("t", 3, OWN)
    before = topics(broker)
    await broker.close()
    with sqlite3.connect(tmp_path / NAME) as connection:
        connection.execute("DELETE FROM topics")
    connection.close()
    again = await open_broker(tmp_path)
    assert topics(again) == before
    await again.close()
    with sqlite3.connect(tmp_path / NAME) as connection:
        connection.execute("DELETE FROM topics")
    connection.close()
    (tmp_path / "t-0" / "topic.metadata").unlink()
    shutil.rmtree(tmp_path / "t-2")
    again = await open_broker(tmp_path)
    assert not topics(again)
    assert [p.end_offset for p in (await again.create_topic("t", 2)).partitions] == [0, 0]
    await again.close()


async def test_settings_that_do_not_count_are_told(tmp_path: Path) -> None:
    broker = await open_broker(tmp_path)
    await broker.create_topic("t", 1, OWN)
    await broker.close()
    with sqlite3.connect(tmp_path / NAME) as connection:
        connection.execute(
            "UPDATE topics SET settings = ?",
            ('{"retention.ms":"soon","no.such.setting":"1","segment.bytes":"2097152"}',),
        )
    connection.close()
    (tmp_path / "t-0" / "topic.metadata").unlink()
    again = await open_broker(tmp_path)
    assert again.topic("t").settings.overrides == {"segment.bytes": "2097152"}
    assert len(again.opening.unfinished) == 2
    assert all("topic t does without a setting" in one for one in again.opening.unfinished)
    await again.close()
