"""Settings of a real broker that change while it runs: who obeys them, and how they stay."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.support.manual_clock import ManualClock
from tidelog.broker.broker import Broker
from tidelog.broker.environment import Environment
from tidelog.broker.errors import InvalidSetting, ShuttingDown
from tidelog.broker.settings.broker_settings import BROKER_SETTINGS, BrokerSettings
from tidelog.broker.settings.changing_settings import CHANGEABLE, Changed

NOW = 1_700_000_000_000
RETENTION, ROLL = "log.retention.ms", "log.roll.ms"
LAG = "log.cleaner.{}.compaction.lag.ms"


async def open_broker(path: Path, **given: str) -> Broker:
    settings = {name.replace("_", "."): value for name, value in given.items()}
    return await Broker.open(
        str(path), BrokerSettings(settings), Environment(clock=ManualClock(NOW))
    )


def of_topic(broker: Broker, name: str) -> tuple[int, int]:
    """As the topic says and as its log obeys."""
    topic = broker.topic(name)
    return topic.settings["retention.ms"], topic.partitions[0].facts().settings.retention_ms


async def test_topics_take_what_they_have_none_of_their_own_of(tmp_path: Path) -> None:
    broker = await open_broker(tmp_path, log_retention_ms="1000")
    await broker.create_topic("plain")
    await broker.create_topic("own", 1, {"retention.ms": "5"})
    for changes, for_all, expected in (
        ({RETENTION: "3000"}, True, 3000),
        ({RETENTION: "2000"}, False, 2000),
        ({RETENTION: "4000"}, True, 2000),
        ({RETENTION: None}, False, 4000),
        ({RETENTION: None}, True, 1000),
        ({RETENTION: None, "no.such.setting": None}, True, 1000),
    ):
        await broker.running_settings.alter(changes, for_all=for_all)
        assert of_topic(broker, "plain") == (expected, expected)
        assert of_topic(broker, "own") == (5, 5)
    await broker.create_topic("later")
    assert of_topic(broker, "later") == (1000, 1000)
    await broker.close()


async def test_changes_outlive_the_broker(tmp_path: Path) -> None:
    broker = await open_broker(tmp_path)
    await broker.create_topic("plain")
    await broker.running_settings.alter(
        {RETENTION: "2000", "cors.origins": "https://grüße.example"}
    )
    await broker.running_settings.alter({RETENTION: "3000", ROLL: "9000"}, for_all=True)
    await broker.close()
    changed = Changed(
        {RETENTION: "2000", "cors.origins": "https://grüße.example"},
        {RETENTION: "3000", ROLL: "9000"},
    )
    for lost in ((), ("catalog.sqlite",), ("catalog-checkpoint",)):
        for name in lost:
            (tmp_path / name).unlink()
        broker = await open_broker(tmp_path, log_retention_ms="1000")
        assert broker.settings.changed == changed
        assert of_topic(broker, "plain") == (2000, 2000)
        assert broker.settings[ROLL] == 9000
        await broker.close()
    broker = await open_broker(tmp_path)
    await broker.running_settings.alter({RETENTION: None, "cors.origins": None})
    await broker.running_settings.alter({RETENTION: None, ROLL: None}, for_all=True)
    await broker.close()
    broker = await open_broker(tmp_path)
    assert broker.settings.changed == Changed({}, {})
    await broker.close()


async def test_what_is_refused_changes_nothing(tmp_path: Path) -> None:
    broker = await open_broker(tmp_path)
    await broker.create_topic("own", 1, {"max.compaction.lag.ms": "50"})
    await broker.running_settings.alter({RETENTION: "2000"})
    before = broker.settings
    for changes, said in (
        ({RETENTION: "soon"}, f"{RETENTION}=soon: must be a whole number"),
        ({ROLL: "9000", RETENTION: "-2"}, "must be at least -1"),
        ({"num.partitions": "3"}, "it cannot be changed while the broker runs"),
        ({"log.retention.mss": "3"}, f"did you mean {RETENTION}?"),
        ({"trusted.proxies": "proxy.example"}, "must be addresses or networks"),
        ({"log.level": "loud"}, "must be one of debug"),
        ({LAG.format("min"): "60"}, "must be at most max.compaction.lag.ms=50 (topic own)"),
        (
            {LAG.format("min"): "60", LAG.format("max"): "59"},
            "must be at most max.compaction.lag.ms=59",
        ),
    ):
        for for_all in (False, True):
            with pytest.raises(InvalidSetting, match=re.escape(said)):
                await broker.running_settings.alter(changes, for_all=for_all)
    await broker.running_settings.alter({ROLL: "9000"}, validate_only=True)
    assert broker.settings is before
    await broker.close()
    with pytest.raises(ShuttingDown):
        await broker.running_settings.alter({ROLL: "9000"})


async def test_a_start_does_without_what_contradicts(tmp_path: Path) -> None:
    """Of the settings that were changed: those that it is started with are the user's last word."""
    broker = await open_broker(tmp_path)
    await broker.running_settings.alter({LAG.format("min"): "60", RETENTION: "2000"})
    await broker.close()
    broker = await open_broker(tmp_path, **{"log.cleaner.max.compaction.lag.ms": "50"})
    (finding,) = broker.opening.findings
    assert "must be at most max.compaction.lag.ms=50" in finding
    assert broker.settings[LAG.format("min")] == 0
    await broker.close()


async def test_the_cache_and_whoever_listens_are_told(tmp_path: Path) -> None:
    broker = await open_broker(tmp_path)
    told: list[int] = []
    broker.running_settings.listeners.append(lambda: told.append(broker.settings["cache.bytes"]))
    await broker.running_settings.alter({"cache.bytes": "5000000"})
    assert broker.cache.budget_bytes == 5_000_000
    await broker.running_settings.alter({"cache.bytes": "5000000"})
    assert told == [5_000_000]
    await broker.close()


async def test_changes_and_topics_do_not_cross(tmp_path: Path) -> None:
    """Whichever comes first: afterwards every topic has the last word of each."""
    broker = await open_broker(tmp_path)
    await broker.create_topic("old")
    await asyncio.gather(
        broker.running_settings.alter({RETENTION: "2000"}),
        broker.create_topic("new"),
        broker.alter_topic("old", {"retention.ms": "7"}),
        broker.running_settings.alter({RETENTION: "3000"}),
    )
    assert of_topic(broker, "old") == (7, 7)
    assert of_topic(broker, "new") == (3000, 3000)
    await broker.close()


def test_only_settings_that_there_are_can_be_changed() -> None:
    assert set(BROKER_SETTINGS) > CHANGEABLE
    assert not any(BROKER_SETTINGS[name].read_only for name in CHANGEABLE)
