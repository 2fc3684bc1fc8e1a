"""The topic of committed offsets stays short while groups commit, and says the same afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.support.manual_clock import ManualClock
from tidelog.broker.broker import Broker
from tidelog.broker.environment import Environment
from tidelog.broker.settings.broker_settings import BrokerSettings
from tidelog.consumer_groups.coordinator import Coordinator
from tidelog.consumer_groups.offsets_topic import OFFSETS_TOPIC
from tidelog.consumer_groups.records.offsets import OffsetAndMetadata

GROUPS = 100
ROUNDS = 40
METADATA = "m" * 1000
MIB = 1024 * 1024


async def opened(tmp_path: Path) -> tuple[Broker, Coordinator]:
    settings = BrokerSettings({"log.cleaner.backoff.ms": "86400000"})
    broker = await Broker.open(str(tmp_path), settings, Environment(clock=ManualClock()))
    await broker.compaction.stop()
    coordinator = Coordinator(broker)
    await coordinator.start()
    await coordinator.loaded()
    return broker, coordinator


async def test_it_never_holds_more_than_a_few_times_its_live_content(tmp_path: Path) -> None:
    broker, coordinator = await opened(tmp_path)
    await broker.create_topic("t", 1)
    most = 0
    for number in range(ROUNDS):
        offset = {("t", 0): OffsetAndMetadata(number, -1, METADATA)}
        await asyncio.gather(*(coordinator.offsets.commit(f"g{n}", offset) for n in range(GROUPS)))
        if broker.sealed.is_set():
            broker.sealed.clear()
            await broker.compaction.run(broker.clock.now_ms())
        most = max(most, broker.topic(OFFSETS_TOPIC).partition(0).size_bytes)
    assert broker.compaction.counters.compacted >= 2
    assert ROUNDS * GROUPS * len(METADATA) > 3.5 * MIB
    assert most < 1.5 * MIB
    await coordinator.close()
    await broker.close()
    broker, coordinator = await opened(tmp_path)
    for number in range(GROUPS):
        committed = coordinator.offsets.committed_offset(f"g{number}", "t", 0)
        assert committed == ROUNDS - 1
    await coordinator.close()
    await broker.close()


async def test_what_is_shown_of_loading_ends_at_the_total(tmp_path: Path) -> None:
    broker, coordinator = await opened(tmp_path)
    await broker.create_topic("t", 1)
    for number in range(5):
        await coordinator.offsets.commit("g", {("t", 0): OffsetAndMetadata(number)})
    broker.topic(OFFSETS_TOPIC).partition(0).seal()
    await broker.topic(OFFSETS_TOPIC).partition(0).flushed(5)
    await coordinator.offsets.commit("g", {("t", 0): OffsetAndMetadata(5)})
    await broker.compaction.run(broker.clock.now_ms())
    assert broker.compaction.counters.compacted == 1
    await coordinator.close()
    await broker.close()
    broker, coordinator = await opened(tmp_path)
    topic = coordinator._groups.topic
    assert (topic.loaded, topic.total) == (6, 6)
    await coordinator.close()
    await broker.close()
