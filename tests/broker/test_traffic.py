"""What a topic takes in and gives out a second, on a clock moved by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.manual_clock import ManualClock
from tidelog.broker.broker import Broker
from tidelog.broker.environment import Environment
from tidelog.broker.settings.broker_settings import BrokerSettings
from tidelog.broker.topic import Topic
from tidelog.storage.batches.record_batch import encode_batch


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    broker = await Broker.open(
        str(tmp_path), BrokerSettings({}, {}), Environment(clock=ManualClock())
    )
    yield broker
    await broker.close()


def append(topic: Topic, records: int) -> None:
    topic.partition(0).append(encode_batch([(1, None, b"v", ())] * records))


def pass_time(broker: Broker, seconds: int) -> None:
    """With a sample every ten seconds."""
    assert isinstance(broker.clock, ManualClock)
    for _ in range(seconds // 10):
        broker.clock.advance(10_000)
        broker.traffic.sample(broker.topics(), broker.clock.monotonic_ms())


async def test_a_young_broker_is_averaged_over_its_life(broker: Broker) -> None:
    topic = await broker.create_topic("t", 2)
    append(topic, 30)
    assert broker.traffic.rates(topic).appended_records == 30
    pass_time(broker, 30)
    rates = broker.traffic.rates(topic)
    assert rates.appended_records == 1
    assert rates.appended_bytes == round(topic.partition(0).size_bytes / 30, 3)
    assert rates.fetched_bytes == 0


async def test_it_is_the_last_minute_that_counts(broker: Broker) -> None:
    topic = await broker.create_topic("t", 1)
    append(topic, 1000)
    pass_time(broker, 120)
    assert broker.traffic.rates(topic) == (0, 0, 0)
    await topic.partition(0).read(0, 1)
    append(topic, 100)
    pass_time(broker, 10)
    rates = broker.traffic.rates(topic)
    assert rates.appended_records == round(100 / 60, 3)
    assert rates.fetched_bytes > 0
    pass_time(broker, 60)
    assert broker.traffic.rates(topic) == (0, 0, 0)


async def test_a_steady_stream(broker: Broker) -> None:
    topic = await broker.create_topic("t", 1)
    for _ in range(30):
        append(topic, 50)
        pass_time(broker, 10)
    assert broker.traffic.rates(topic).appended_records == 5


async def test_a_topic_of_the_same_name_begins_anew(broker: Broker) -> None:
    append(await broker.create_topic("t", 1), 600)
    pass_time(broker, 60)
    await broker.delete_topic("t")
    topic = await broker.create_topic("t", 1)
    assert broker.traffic.rates(topic) == (0, 0, 0)
    append(topic, 60)
    assert broker.traffic.rates(topic).appended_records > 0
