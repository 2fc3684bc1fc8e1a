"""Catalogs of older schemas become one of the present: nothing is lost, and what was is kept.

``revision-6f1f7e8.tar.gz`` is a data directory that the first schema's first release left, after a
clean stop: topics with settings and records, one that was just deleted, producer ids, settings of a
group and of the broker, offsets of one group without members and of one with.
"""

from __future__ import annotations

import sqlite3
import tarfile
import uuid
from pathlib import Path

import pytest

from tests.support.coordinator_site import Site
from tests.support.faulty_disk import FaultyDisk
from tests.support.manual_clock import ManualClock
from tidelog.broker.broker import Broker
from tidelog.broker.catalog.migrations import SCHEMA_VERSION, upgrade
from tidelog.broker.environment import Environment
from tidelog.broker.errors import CatalogUnreadable
from tidelog.broker.settings.broker_settings import BrokerSettings
from tidelog.broker.topic import Topic
from tidelog.storage.batches.record_batch import batches, decode_records
from tidelog.storage.errors import DiskFull

FIRST = Path(__file__).parent / "data" / "revision-6f1f7e8.tar.gz"
NAME = "catalog.sqlite"
KEPT = f"{NAME}.before-{SCHEMA_VERSION}"
GROUP = {"consumer.session.timeout.ms": "50000"}
CHANGED = {"for_all": {"log.retention.ms": "5"}, "own": {"cors.origins": "grüße"}}


async def open_broker(path: Path, disk: FaultyDisk | None = None) -> Broker:
    environment = Environment(clock=ManualClock(), disk=disk or FaultyDisk(path))
    return await Broker.open(str(path), BrokerSettings({}, {}), environment)


def dump(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def change(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path / NAME, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


async def values(topic: Topic) -> list[list[bytes | None]]:
    """Of the records of each partition."""
    found = []
    for partition in topic.partitions:
        data = b"".join(map(bytes, (await partition.read(0, 1 << 20)).data))
        records = [decode_records(data, position=position) for position, _ in batches(data)]
        found.append([record.value for batch in records for record in batch])
    return found


async def check(site: Site) -> None:
    """All that is in the first release's directory."""
    broker, coordinator = site.broker, site.coordinator
    assert not broker.opening.findings
    topics = {topic.name: topic for topic in broker.topics()}
    assert sorted(topics) == ["__consumer_offsets", "orders", "plain"]
    plain, orders = topics["plain"], topics["orders"]
    assert plain.id == uuid.UUID("194e837a-fdf8-4325-93b6-10124852d955")
    assert orders.id == uuid.UUID("b84ba4c6-5a4c-46af-8d5a-bdacb6c61632")
    keep = {"retention.ms": "-1"}
    assert plain.settings.overrides == keep
    assert orders.settings.overrides == {
        **keep,
        "cleanup.policy": "compact,delete",
        "segment.bytes": "1048576",
    }
    assert await values(plain) == [[b"one"]]
    assert await values(orders) == [[b"v%d-%d" % (i, n) for n in range(4)] for i in range(3)]
    assert await broker.catalog.group_settings() == {"gruppe ü": GROUP}
    assert coordinator.settings_of("gruppe ü").overrides == GROUP
    committed = coordinator.offsets.committed("readers")
    assert {place: (offset.offset, offset.metadata) for place, offset in committed.items()} == {
        ("orders", i): (i + 1, f"note {i}") for i in range(3)
    }
    (member,) = coordinator.describe("members").members
    assert member.partitions == (("plain", 0),)
    assert site.offsets("members") == {("plain", 0): 1}
    assert broker.catalog.known.broker == {"own": {"log.retention.ms": "-1"}}
    assert plain.partition(0).producer(0) is not None


async def test_the_first_release_s_directory_opens_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with tarfile.open(FIRST) as archive:
        archive.extractall(path, filter="data")
    before = dump(path / NAME)
    site = Site(path)
    await site.start()
    await check(site)
    assert await site.broker.producer_ids.allocate() >= 1000
    assert dump(path / KEPT) == before
    kept = (path / KEPT).read_bytes()
    await site.restart()
    await check(site)
    await site.stop()
    assert (path / KEPT).read_bytes() == kept
    tables = " ".join(dump(path / NAME))
    assert "broker_settings" not in tables
    assert "changed_settings" in tables


async def make_later(path: Path) -> None:
    """What later releases of the first schema left."""
    broker = await open_broker(path)
    await broker.create_topic("t", 2)
    await broker.catalog.set_group_settings("g", GROUP)
    await broker.catalog.set_broker_settings(CHANGED)
    await broker.close()
    text = '{"for_all":{"log.retention.ms":"5"},"own":{"cors.origins":"grüße"}}'
    change(
        path,
        "DROP TABLE changed_settings",
        f"INSERT INTO meta (name, value) VALUES ('broker', '{text}')",
        "UPDATE meta SET value = '1' WHERE name = 'schema'",
    )


@pytest.mark.parametrize("with_copy", [True, False])
async def test_settings_of_the_broker_come_along(tmp_path: Path, with_copy: bool) -> None:
    await make_later(tmp_path)
    if not with_copy:
        (tmp_path / "catalog-checkpoint").unlink()
    for _ in range(2):
        broker = await open_broker(tmp_path)
        assert not broker.opening.findings
        assert broker.catalog.standing == "sound"
        assert broker.catalog.known.broker == CHANGED
        assert broker.catalog.known.groups == {"g": GROUP}
        assert [topic.name for topic in broker.topics()] == ["t"]
        await broker.close()
    assert "'broker'" not in " ".join(dump(tmp_path / NAME))


async def test_no_upgrade_without_room_for_the_copy(tmp_path: Path) -> None:
    await make_later(tmp_path)
    before = dump(tmp_path / NAME)
    disk = FaultyDisk(tmp_path)
    disk.room_bytes = 0
    with pytest.raises(DiskFull):
        await open_broker(tmp_path, disk)
    assert dump(tmp_path / NAME) == before
    broker = await open_broker(tmp_path)
    assert broker.catalog.known.broker == CHANGED
    await broker.close()


async def test_a_damaged_catalog_is_kept_as_it_was(tmp_path: Path) -> None:
    await make_later(tmp_path)
    change(tmp_path, "UPDATE meta SET value = '{' WHERE name = 'broker'")
    before = dump(tmp_path / NAME)
    broker = await open_broker(tmp_path)
    assert dump(tmp_path / f"{NAME}.damaged") == before
    assert [topic.name for topic in broker.topics()] == ["t"]
    assert broker.catalog.known.broker == CHANGED
    await broker.close()


@pytest.mark.parametrize("version", [str(SCHEMA_VERSION + 1), "0", "-1", "one", "1 "])
async def test_any_other_schema_is_refused_and_left_alone(tmp_path: Path, version: str) -> None:
    await make_later(tmp_path)
    change(tmp_path, f"UPDATE meta SET value = '{version}' WHERE name = 'schema'")
    before = (tmp_path / NAME).read_bytes()
    with pytest.raises(CatalogUnreadable, match=f"schema is version {version}, this broker"):
        await open_broker(tmp_path)
    assert (tmp_path / NAME).read_bytes() == before
    assert not (tmp_path / KEPT).exists()


async def test_an_upgrade_that_was_done_already_changes_nothing(tmp_path: Path) -> None:
    broker = await open_broker(tmp_path)
    await broker.catalog.set_broker_settings(CHANGED)
    await broker.close()
    before = dump(tmp_path / NAME)
    connection = sqlite3.connect(tmp_path / NAME, isolation_level=None)
    upgrade(connection, "1")
    connection.close()
    assert dump(tmp_path / NAME) == before
