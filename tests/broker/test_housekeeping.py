"""Retention and rolling as the housekeeping applies them, on a clock moved by hand."""

from pathlib import Path

from tidelog.broker.broker import Broker
from tidelog.broker.settings.broker_settings import BrokerSettings
from tidelog.storage.batches.record_batch import encode_batch

HOUR_MS = 3_600_000
START_MS = 1_700_000_000_000


async def test_retention_goes_by_time_and_by_size(tmp_path: Path) -> None:
    broker = await Broker.open(str(tmp_path), BrokerSettings({}, {}))
    topic = await broker.create_topic(
        "t", 1, {"segment.bytes": "1048576", "retention.ms": str(10 * HOUR_MS)}
    )
    partition = topic.partition(0)
    for hour in range(20):
        batch = encode_batch([(START_MS + hour * HOUR_MS, None, bytes(500_000), ())])
        partition.append(batch)
    now_ms = START_MS + 19 * HOUR_MS
    before = partition.size_bytes
    (preview,) = await broker.housekeeping.plan(topic, now_ms)
    assert [gone.reason for gone in preview.plan.expired] == ["time"] * 4
    assert preview.plan.next is not None
    assert partition.size_bytes == before
    await broker.housekeeping.run(now_ms)
    assert partition.start_offset == 8
    await broker.alter_topic("t", {"retention.bytes": "1500000"})
    (done,) = await broker.housekeeping.retain(topic, now_ms)
    assert {gone.reason for gone in done.plan.expired} == {"size"}
    assert partition.size_bytes >= 1_500_000
    assert (await partition.read(partition.start_offset, 100)).size > 500_000
    await broker.housekeeping.run(now_ms + 100 * HOUR_MS)
    assert partition.start_offset == partition.end_offset == 20
    assert partition.size_bytes == 0
    await broker.close()


async def test_groups_hold_segments_back_up_to_a_limit(tmp_path: Path) -> None:
    broker = await Broker.open(str(tmp_path), BrokerSettings({}, {}))
    topic = await broker.create_topic(
        "t",
        1,
        {
            "segment.bytes": "1048576",
            "retention.ms": str(HOUR_MS),
            "retention.max.ms": str(15 * HOUR_MS),
            "retention.wait.for.groups": "slow",
        },
    )
    partition = topic.partition(0)
    for hour in range(20):
        batch = encode_batch([(START_MS + hour * HOUR_MS, None, bytes(500_000), ())])
        partition.append(batch)
    committed = {"slow": 6}
    broker.committed_offset = lambda group, topic, partition: committed.get(group)
    await broker.housekeeping.run(START_MS + 10 * HOUR_MS)
    assert partition.start_offset == 6
    (held,) = await broker.housekeeping.plan(topic, START_MS + 10 * HOUR_MS)
    assert held.plan.held_by == ("slow",)
    assert held.plan.held[0].base_offset == 6
    await broker.housekeeping.run(START_MS + 24 * HOUR_MS)
    assert partition.start_offset == 8
    await broker.close()


async def test_an_idle_segment_is_rolled_by_the_clock(tmp_path: Path) -> None:
    broker = await Broker.open(str(tmp_path), BrokerSettings({}, {}))
    topic = await broker.create_topic("t", 1, {"segment.ms": str(HOUR_MS), "retention.ms": "-1"})
    partition = topic.partition(0)
    partition.append(encode_batch([(1000, None, b"old data, loaded today", ())]))
    await broker.housekeeping.run(START_MS)
    await broker.housekeeping.run(START_MS + HOUR_MS)
    assert len(await partition.segments()) == 1
    await broker.housekeeping.run(START_MS + HOUR_MS + 1)
    assert len(await partition.segments()) == 2
    await broker.close()
