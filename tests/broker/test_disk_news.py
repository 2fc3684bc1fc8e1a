"""What is told of a disk that refuses: each stopped partition once, a full disk once a minute."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.manual_clock import ManualClock
from tidelog.broker.broker import Broker
from tidelog.broker.environment import Environment
from tidelog.broker.local.disk_news import DiskNews
from tidelog.broker.local.local_log import log_of
from tidelog.broker.settings.broker_settings import BrokerSettings
from tidelog.storage.errors import (
    BatchTooLarge,
    DiskFull,
    StorageError,
    TooManyOpenFiles,
    WritesStopped,
)

FULL, STOPPED = DiskFull("/d/t-0", "No space left on device"), WritesStopped("it broke")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def broker(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Broker]:
    opened = await Broker.open(str(tmp_path), BrokerSettings({}), Environment(clock=clock))
    await opened.create_topic("t", 2)
    yield opened
    await opened.close()


async def test_each_once(
    broker: Broker, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    news = DiskNews(clock)
    logs = [log_of(one) for one in broker.topic("t").partitions]

    def told(error: StorageError, partition: int = 0) -> int:
        caplog.clear()
        for _ in range(3):
            news.tell(logs[partition], error)
        return len(caplog.messages)

    for error in (FULL, TooManyOpenFiles("/d/t-0")):
        assert told(error) == 1
        clock.advance(59_999)
        assert told(error, 1) == 0
        clock.advance(1)
        assert told(error) == 1
    assert (told(STOPPED), told(STOPPED), told(STOPPED, 1)) == (1, 0, 1)
    assert told(BatchTooLarge(2, 1)) == 0


async def test_a_deleted_topic_is_no_news(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """A flush may still be under way when its directory is taken away."""
    first, second = (log_of(one) for one in broker.topic("t").partitions)
    broker.store.news.tell(first, STOPPED)
    assert len(caplog.messages) == 1
    await broker.delete_topic("t")
    broker.store.news.tell(second, STOPPED)
    assert [one for one in caplog.messages if "takes no more writes" in one] == caplog.messages[:1]
