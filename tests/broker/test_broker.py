"""Topics of a running broker, and what they are after it stops, cleanly or not."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tidelog.broker.broker import Broker
from tidelog.broker.errors import (
    InternalTopic,
    InvalidPartitions,
    InvalidSetting,
    InvalidTopicName,
    TopicExists,
    UnknownPartition,
    UnknownTopic,
    UnknownTopicId,
)
from tidelog.broker.local.local_log import log_of
from tidelog.broker.partition import Partition
from tidelog.broker.settings.broker_settings import BrokerSettings
from tidelog.broker.waiting import DataWaiter
from tidelog.storage.batches.record import Record
from tidelog.storage.batches.record_batch import batches, decode_records, encode_batch
from tidelog.storage.errors import DirectoryInUse, OffsetOutOfRange

NOW = 1_700_000_000_000


def settings(**overrides: str) -> BrokerSettings:
    return BrokerSettings({name.replace("_", "."): value for name, value in overrides.items()}, {})


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    broker = await Broker.open(str(tmp_path / "data"), settings())
    yield broker
    if not broker.closing:
        await broker.close()


def produce(partition: Partition, *values: bytes) -> int:
    """Append one batch; the offset after it."""
    batch = encode_batch([(NOW + n, b"key", value, ()) for n, value in enumerate(values)])
    return partition.append(batch).last_offset + 1


async def consume(partition: Partition, offset: int = 0) -> list[Record]:
    records: list[Record] = []
    while offset < partition.high_watermark:
        fetched = await partition.read(offset, 1000)
        for buffer in fetched.data:
            for position, _ in batches(buffer):
                records += decode_records(buffer, position=position)
        offset = fetched.next_offset
    return records


async def test_the_topic_of_committed_offsets_is_the_brokers_own(broker: Broker) -> None:
    with pytest.raises(InternalTopic):
        await broker.create_topic("__consumer_offsets")
    await broker.auto_create_topic("__consumer_offsets")
    assert broker.topics() == []
    topic = await broker.create_topic("__consumer_offsets", internal=True)
    assert topic.internal
    for key in (topic.name, topic.id):
        with pytest.raises(InternalTopic):
            broker.topic_to_change(key)
    for change in (
        broker.alter_topic(topic.name, {"retention.ms": "1"}),
        broker.add_partitions(topic.name, 9),
        broker.delete_topic(topic.name),
    ):
        with pytest.raises(InternalTopic):
            await change
    await broker.auto_create_topic("__heartbeat")
    assert not broker.topic("__heartbeat").internal


async def test_topics_survive_a_clean_restart(broker: Broker) -> None:
    topic = await broker.create_topic("orders", 3, {"retention.ms": "1000"})
    end = produce(topic.partition(1), b"a", b"b")
    await topic.partition(1).flushed(end)
    await broker.close()
    again = await Broker.open(broker.data_dir, settings())
    assert again.started_clean
    found = again.topic("orders")
    assert found.id == topic.id
    assert found.settings["retention.ms"] == 1000
    assert [p.end_offset for p in found.partitions] == [0, 2, 0]
    assert found.partition(1).leader_epoch == 0
    assert [r.value for r in await consume(found.partition(1))] == [b"a", b"b"]
    await again.close()


async def test_a_second_broker_is_kept_out(broker: Broker) -> None:
    with pytest.raises(DirectoryInUse, match=str(os.getpid())):
        await Broker.open(broker.data_dir, settings())


async def test_bad_requests_change_nothing(broker: Broker) -> None:
    await broker.create_topic("orders", 2)
    with pytest.raises(TopicExists):
        await broker.create_topic("orders")
    with pytest.raises(InvalidTopicName):
        await broker.create_topic("no/slash")
    with pytest.raises(InvalidPartitions):
        await broker.create_topic("none", 0)
    with pytest.raises(InvalidSetting):
        await broker.create_topic("bad", 1, {"retention.ms": "soon"})
    with pytest.raises(InvalidSetting):
        await broker.create_topic("bad", 1, {"no.such.setting": "1"})
    with pytest.raises(InvalidPartitions):
        await broker.add_partitions("orders", 2)
    with pytest.raises(UnknownPartition):
        broker.topic("orders").partition(2)
    await broker.create_topic("only-checked", 1, validate_only=True)
    assert [topic.name for topic in broker.topics()] == ["orders"]
    assert not [n for n in os.listdir(broker.data_dir) if n.startswith(("bad", "none", "only"))]


async def test_a_deleted_topic_is_gone_and_its_name_starts_anew(broker: Broker) -> None:
    topic = await broker.create_topic("orders", 1, {"segment.bytes": "1048576"})
    partition = topic.partition(0)
    produce(partition, b"a", b"b", b"c")
    await partition.delete_records(2)
    with DataWaiter() as waiter:
        waiter.watch(partition)
        await broker.delete_topic("orders")
        assert await waiter.wait(10_000)
    with pytest.raises(UnknownTopic):
        broker.topic("orders")
    with pytest.raises(UnknownTopicId):
        broker.topic_by_id(topic.id)
    with pytest.raises(UnknownTopic):
        produce(partition, b"late")
    again = await broker.create_topic("orders", 1)
    assert again.id != topic.id
    assert produce(again.partition(0), b"new") == 1
    await broker.close()
    reopened = await Broker.open(broker.data_dir, settings())
    found = reopened.topic("orders").partition(0)
    assert (found.start_offset, found.end_offset) == (0, 1)
    assert not [n for n in os.listdir(reopened.data_dir) if n.endswith("-delete")]
    await reopened.close()


async def test_settings_and_partitions_can_be_raised(broker: Broker) -> None:
    topic = await broker.create_topic("orders", 1)
    await broker.alter_topic("orders", {"max.message.bytes": "2000", "retention.ms": "5"})
    await broker.alter_topic("orders", {"retention.ms": None})
    await broker.add_partitions("orders", 4)
    assert log_of(topic.partition(0)).settings.max_message_bytes == 2000
    assert log_of(topic.partition(3)).settings.max_message_bytes == 2000
    await broker.close()
    reopened = await Broker.open(broker.data_dir, settings())
    found = reopened.topic("orders")
    assert len(found.partitions) == 4
    assert found.settings.overrides == {"max.message.bytes": "2000"}
    await reopened.close()


async def test_topics_are_made_on_first_use_where_that_is_allowed(tmp_path: Path) -> None:
    broker = await Broker.open(str(tmp_path / "a"), settings(num_partitions="3"))
    await asyncio.gather(*(broker.auto_create_topic("fresh") for _ in range(2)))
    assert len(broker.topic("fresh").partitions) == 3
    await broker.close()
    strict = await Broker.open(str(tmp_path / "b"), settings(auto_create_topics_enable="false"))
    await strict.auto_create_topic("fresh")
    assert strict.topics() == []
    await strict.close()


async def test_producer_ids_are_never_given_twice(broker: Broker) -> None:
    given = [await broker.producer_ids.allocate() for _ in range(1500)]
    await broker.close()
    again = await Broker.open(broker.data_dir, settings())
    given.append(await again.producer_ids.allocate())
    assert len(set(given)) == len(given)
    await again.close()


async def test_an_append_wakes_a_waiting_reader_once_enough_is_there(broker: Broker) -> None:
    partition = (await broker.create_topic("t", 1)).partition(0)
    size = len(encode_batch([(NOW, b"key", b"x", ())]))
    with DataWaiter(min_bytes=2 * size) as waiter:
        waiter.watch(partition)
        waiting = asyncio.ensure_future(waiter.wait(60_000))
        await asyncio.sleep(0)
        produce(partition, b"x")
        await asyncio.sleep(0)
        assert not waiting.done()
        produce(partition, b"y")
        assert await waiting


async def test_a_wait_ends_at_its_time_out_and_at_the_stop(broker: Broker) -> None:
    partition = (await broker.create_topic("t", 1)).partition(0)
    with DataWaiter() as waiter:
        waiter.watch(partition)
        assert not await waiter.wait(1)
        waiting = asyncio.ensure_future(waiter.wait(60_000))
        await asyncio.sleep(0)
        broker.stop_waiting()
        assert await waiting


async def test_delete_records_is_durable_before_files_go(broker: Broker) -> None:
    topic = await broker.create_topic("t", 1, {"segment.bytes": "1048576"})
    partition = topic.partition(0)
    for _ in range(5):
        produce(partition, *(bytes(100_000) for _ in range(5)))
    assert len(await partition.segments()) > 1
    assert await partition.delete_records(13) == 13
    with pytest.raises(OffsetOutOfRange):
        await partition.read(12, 100)
    with pytest.raises(OffsetOutOfRange):
        await partition.delete_records(26)
    remaining = await consume(partition, 13)
    assert remaining[-1].offset == 24
    await broker.close()
    reopened = await Broker.open(broker.data_dir, settings())
    found = reopened.topic("t").partition(0)
    assert (found.start_offset, found.end_offset) == (13, 25)
    assert await found.delete_records(-1) == 25
    assert produce(found, b"next") == 26
    await reopened.close()


async def test_what_a_crash_left_is_recovered(broker: Broker) -> None:
    topic = await broker.create_topic("t", 1)
    partition = topic.partition(0)
    end = produce(partition, b"a", b"b")
    await partition.flushed(end)
    produce(partition, b"c")
    broker.store.directory.release()
    again = await Broker.open(broker.data_dir, settings())
    assert not again.started_clean
    found = again.topic("t").partition(0)
    assert [r.value for r in await consume(found)] == [b"a", b"b", b"c"]
    assert found.leader_epoch == 1
    await again.close()
    broker.closing = True
