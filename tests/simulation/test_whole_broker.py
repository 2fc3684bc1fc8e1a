"""A whole broker in a world that its seed decides; ``TIDELOG_SEED=n`` repeats one.

The same seed gives the same bytes, however often; after a power cut at any moment everything that
was acknowledged is there.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from tests.support.simulated_world import World
from tidelog.broker.broker import Broker
from tidelog.broker.settings.broker_settings import BrokerSettings
from tidelog.consumer_groups.coordinator import Coordinator
from tidelog.consumer_groups.records.offsets import OffsetAndMetadata
from tidelog.storage.batches.record_batch import encode_batch

SEEDS = [int(os.environ["TIDELOG_SEED"])] if "TIDELOG_SEED" in os.environ else range(4)
_SETTINGS = {
    "log.segment.bytes": "1048576",
    "log.retention.check.interval.ms": "2000",
    "log.cleaner.backoff.ms": "1000",
    "log.cleaner.min.cleanable.ratio": "0.1",
    "offsets.topic.num.partitions": "2",
    "log.retention.bytes": "2097152",
}
_TOPICS = {"plain": {}, "compacted": {"cleanup.policy": "compact", "segment.bytes": "1048576"}}
_LOCK = ".lock"


class _Scenario:
    """Producers and a group, at work on two topics."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        self.directory = directory
        self.acknowledged: dict[tuple[str, int], int] = {}
        """The end of what was acknowledged, by partition."""
        self.committed: dict[tuple[str, int], int] = {}

    async def start(self) -> None:
        settings, environment = BrokerSettings(_SETTINGS), self.world.environment
        self.broker = await Broker.open(str(self.directory), settings, environment)
        self.coordinator = Coordinator(self.broker)
        await self.coordinator.start()
        await self.coordinator.loaded()

    async def make_topics(self) -> None:
        for name, settings in _TOPICS.items():
            await self.broker.create_topic(name, 2, settings)

    async def work(self, rounds: int) -> None:
        producers = [asyncio.create_task(self._produce(rounds)) for _ in range(3)]
        await asyncio.gather(*producers, self._commit(rounds))

    async def _produce(self, rounds: int) -> None:
        source = self.world.random
        for _ in range(rounds):
            name, index = source.choice(list(_TOPICS)), source.randrange(2)
            now_ms = self.world.clock.now_ms()
            records = [
                (
                    now_ms,
                    b"%d" % source.randrange(9),
                    source.randbytes(9) * size,
                    (),
                )
                for size in source.choices(range(3_000), k=source.randint(1, 5))
            ]
            partition = self.broker.topic(name).partition(index)
            end = partition.append(encode_batch(records)).last_offset + 1
            await partition.flushed(end)
            self.acknowledged[name, index] = max(self.acknowledged.get((name, index), 0), end)
            await asyncio.sleep(source.randrange(300) / 1000)

    async def _commit(self, rounds: int) -> None:
        for _ in range(rounds):
            await asyncio.sleep(self.world.random.randrange(300) / 1000)
            offsets = {key: OffsetAndMetadata(end) for key, end in self.acknowledged.items()}
            if offsets:
                await self.coordinator.offsets.commit("g", offsets)
                self.committed.update({key: one.offset for key, one in offsets.items()})

    async def stop(self) -> None:
        await self.coordinator.close()
        await self.broker.close()

    def check(self) -> None:
        """What was acknowledged is there."""
        for (name, index), end in self.acknowledged.items():
            assert self.broker.topic(name).partition(index).end_offset >= end
        committed = self.coordinator.offsets.committed("g") if self.committed else {}
        for key, offset in self.committed.items():
            assert committed[key].offset >= offset


def _digests(directory: Path) -> dict[str, str]:
    """Of every file that may differ."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != _LOCK
    }


def _history(directory: Path, seed: int) -> tuple[dict[str, str], int]:
    """The bytes after a clean stop, and the time of it."""
    world = World(directory, seed)

    async def scenario() -> None:
        one = _Scenario(world, directory)
        await one.start()
        await one.make_topics()
        await one.work(60)
        one.check()
        assert one.broker.compaction.counters.compacted > 0, "a pass had something to do"
        await one.stop()

    world.run(scenario())
    return _digests(directory), world.clock.now_ms()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, seed: int) -> None:
    directory = tmp_path / "data"
    first = _history(directory, seed)
    directory.rename(tmp_path / "first")
    assert _history(directory, seed) == first
    directory.rename(tmp_path / "second")
    assert _history(directory, seed + 1_000) != first


@pytest.mark.parametrize("seed", SEEDS)
def test_a_power_cut_takes_nothing_that_was_acknowledged(tmp_path: Path, seed: int) -> None:
    directory = tmp_path / "data"
    world = World(directory, seed)
    before = _Scenario(world, directory)

    async def until_the_cut() -> None:
        await before.start()
        await before.make_topics()
        work = asyncio.create_task(before.work(200))
        await asyncio.sleep(world.random.randrange(1_000, 30_000) / 1000)
        work.cancel()

    async def afterwards() -> None:
        after = _Scenario(world, directory)
        after.acknowledged, after.committed = before.acknowledged, before.committed
        await after.start()
        after.check()
        await after.work(10)
        after.check()
        await after.stop()

    world.run(until_the_cut())
    world.cut_power()
    world.run(afterwards())
