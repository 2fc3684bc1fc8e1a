"""Compaction in a broker: when it runs, the cache, what meets it on the way, failing children."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.manual_clock import ManualClock
from tidelog.broker.broker import Broker
from tidelog.broker.environment import Environment
from tidelog.broker.local.compaction_process import CompactionProcess
from tidelog.broker.local.local_log import log_of
from tidelog.broker.partition import Partition
from tidelog.broker.settings.broker_settings import BrokerSettings
from tidelog.storage.batches.record import Record
from tidelog.storage.batches.record_batch import batches, decode_records, encode_batch
from tidelog.storage.compaction.cleaner import CleaningJob
from tidelog.storage.local.checkpoints import decode_checkpoint

MIB = 1024 * 1024
NEVER_MS = "86400000"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def broker(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Broker]:
    settings = BrokerSettings({"log.cleaner.backoff.ms": NEVER_MS})
    opened = await Broker.open(
        str(tmp_path), settings, Environment(clock=clock, compactor=Meanwhile)
    )
    # Passes run when a test asks for them.
    await opened.compaction.stop()
    yield opened
    await opened.close()


async def compacted(broker: Broker, name: str = "t", **settings: str) -> Partition:
    """A partition with two sealed segments, in which each key has several values."""
    changed = {key.replace("_", "."): value for key, value in settings.items()}
    topic = await broker.create_topic(
        name,
        1,
        {
            "cleanup.policy": "compact",
            "segment.bytes": str(MIB),
            "file.delete.delay.ms": "0",
            **changed,
        },
    )
    partition = topic.partition(0)
    await fill(broker, partition)
    return partition


async def fill(broker: Broker, partition: Partition) -> None:
    """Twenty-four batches of 100 kB, over ten keys: more than two segments."""
    for number in range(24):
        now_ms = broker.clock.now_ms()
        value = b"%d" % number + bytes(100_000)
        partition.append(encode_batch([(now_ms, b"k%d" % (number % 10), value, ())]))
    await partition.flushed(partition.end_offset)


async def read_all(partition: Partition) -> list[Record]:
    records: list[Record] = []
    offset = partition.start_offset
    while offset < partition.end_offset:
        fetched = await partition.read(offset, 250_000)
        for data in fetched.data:
            for position, _ in batches(data):
                records += decode_records(data, position=position)
        offset = fetched.next_offset
    return records


def latest(records: list[Record]) -> dict[bytes | None, bytes | None]:
    return {record.key: record.value for record in records}


async def test_a_log_shrinks_and_keeps_the_newest_of_each_key(
    broker: Broker, clock: ManualClock, tmp_path: Path
) -> None:
    partition = await compacted(broker)
    before, size = await read_all(partition), partition.size_bytes
    assert len(before) == 24
    await broker.compaction.run(clock.now_ms())
    after = await read_all(partition)
    assert latest(after) == latest(before)
    assert partition.size_bytes < size
    sealed = log_of(partition).active.base_offset
    offsets = [record.offset for record in after]
    assert offsets == [*range(sealed - 10, sealed), *range(sealed, 24)]
    assert broker.compaction.counters.compacted == 1
    assert broker.compaction.counters.source_bytes - broker.compaction.counters.kept_bytes == (
        size - partition.size_bytes
    )
    checkpoint = (tmp_path / "cleaner-offset-checkpoint").read_bytes()
    assert decode_checkpoint(checkpoint) == {("t", 0): sealed}
    assert (await broker.compaction.plan(partition, clock.now_ms())).reason is None


async def test_the_checkpoint_outlives_a_restart_but_not_its_topic(tmp_path: Path) -> None:
    settings = BrokerSettings({"log.cleaner.backoff.ms": NEVER_MS})
    broker = await Broker.open(str(tmp_path), settings)
    for name in ("t", "gone"):
        await compacted(broker, name)
    await broker.compaction.run(broker.clock.now_ms())
    await broker.delete_topic("gone")
    again = await compacted(broker, "gone")
    assert log_of(again).cleaned_offset == 0
    await broker.close()
    broker = await Broker.open(str(tmp_path), settings)
    cleaned = {
        name: log_of(broker.topic(name).partition(0)).cleaned_offset for name in ("t", "gone")
    }
    assert cleaned["t"] > 0
    assert cleaned["gone"] == 0
    await broker.close()


async def test_readers_and_the_cache_never_show_what_was_before(
    broker: Broker, clock: ManualClock
) -> None:
    partition = await compacted(broker)
    await read_all(partition)
    assert broker.cache.cached_bytes(partition.log_id, 0, 24) > 2_000_000
    active = log_of(partition).active.base_offset
    tail = broker.cache.cached_bytes(partition.log_id, active, 24)
    await broker.compaction.run(clock.now_ms())
    assert broker.cache.cached_bytes(partition.log_id, 0, active) == 0
    assert broker.cache.cached_bytes(partition.log_id, active, 24) <= tail
    for _ in ("from the disk", "from the cache"):
        for offset in range(24):
            fetched = await partition.read(offset, 1)
            first = decode_records(fetched.data[0])[0]
            assert first.offset == max(offset, active - 10)
            assert first.value is not None
            assert first.value.startswith(b"%d\0" % first.offset)
    hits = broker.cache.stats().hits
    await partition.read(0, 1)
    assert broker.cache.stats().hits == hits + 1


async def test_the_time_of_a_record_is_its_own(broker: Broker, clock: ManualClock) -> None:
    """Not its batch's base, which may be a delete horizon or that of a record that is gone."""
    now_ms = clock.now_ms()
    topic = await broker.create_topic("t", 1, {"cleanup.policy": "compact"})
    partition = topic.partition(0)
    for key, value in ((b"a", None), (b"b", b"2")):
        partition.append(encode_batch([(now_ms - 9, b"c", b"1", ()), (now_ms - 5, key, value, ())]))
    partition.append(encode_batch([(now_ms - 1, b"c", b"2", ())]))
    partition.seal()
    await partition.flushed(5)
    await broker.compaction.run(now_ms)
    assert [record.offset for record in await read_all(partition)] == [1, 3, 4]
    times = [await partition.timestamp_at(offset) for offset in range(5)]
    assert times == [now_ms - 5, now_ms - 5, now_ms - 5, now_ms - 5, now_ms - 1]


async def test_compact_and_delete_does_both(broker: Broker, clock: ManualClock) -> None:
    hour_ms = 3_600_000
    partition = await compacted(
        broker, cleanup_policy="compact,delete", retention_ms=str(10 * hour_ms)
    )
    await broker.compaction.run(clock.now_ms())
    assert len(await read_all(partition)) < 24
    clock.advance(9 * hour_ms)
    partition.append(encode_batch([(clock.now_ms(), b"new", b"1", ())]))
    await broker.housekeeping.run(clock.now_ms())
    assert partition.start_offset == 0
    clock.advance(2 * hour_ms)
    await broker.housekeeping.run(clock.now_ms())
    assert partition.start_offset > 0
    assert [record.key for record in await read_all(partition)][-1] == b"new"


async def test_sealing_a_segment_wakes_it(tmp_path: Path) -> None:
    settings = BrokerSettings({"log.cleaner.backoff.ms": NEVER_MS})
    broker = await Broker.open(str(tmp_path), settings)
    partition = await compacted(broker)
    swapped = asyncio.Event()
    remove_later = broker.store.remove_later

    def noted(paths: list[str], delay_ms: int) -> None:
        remove_later(paths, delay_ms)
        swapped.set()

    broker.store.remove_later = noted  # type: ignore[method-assign]
    await asyncio.wait_for(swapped.wait(), 30)
    assert partition.size_bytes < 2_400_000
    await broker.close()


# What happens meanwhile


class Meanwhile(CompactionProcess):
    """Does something between a new segment's being ready and its being swapped in."""

    action = staticmethod(lambda: asyncio.sleep(0))

    async def clean(self, job: CleaningJob):  # type: ignore[no-untyped-def]
        async for found in super().clean(job):
            await type(self).action()
            yield found


async def run_with(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, action: object, now_ms: int
) -> None:
    monkeypatch.setattr(Meanwhile, "action", staticmethod(action))
    await broker.compaction.run(now_ms)


def leftovers(partition: Partition) -> list[str]:
    names = os.listdir(log_of(partition).place.directory)
    return [name for name in names if name.endswith((".cleaned", ".swap"))]


async def test_segments_deleted_meanwhile_stay_deleted(
    broker: Broker, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition = await compacted(broker, cleanup_policy="compact,delete")
    second = log_of(partition).segments[1].base_offset

    async def delete() -> None:
        await partition.delete_records(second)

    await run_with(broker, monkeypatch, delete, clock.now_ms())
    assert partition.start_offset == second
    assert [record.offset for record in await read_all(partition)] == list(range(second, 24))
    assert not leftovers(partition)
    assert broker.compaction.counters.failed == 0
    monkeypatch.undo()
    await fill(broker, partition)
    await broker.compaction.run(clock.now_ms())
    assert len(latest(await read_all(partition))) == 10


async def test_a_topic_deleted_meanwhile_is_no_failure(
    broker: Broker, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await compacted(broker)
    await run_with(broker, monkeypatch, lambda: broker.delete_topic("t"), clock.now_ms())
    assert broker.compaction.counters.failed == 0


async def test_appends_and_rolls_meanwhile_are_kept(
    broker: Broker, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition = await compacted(broker)
    before = await read_all(partition)

    async def append() -> None:
        await fill(broker, partition)

    await run_with(broker, monkeypatch, append, clock.now_ms())
    after = await read_all(partition)
    assert partition.end_offset > 48
    assert {record.offset for record in before} > {r.offset for r in after if r.offset < 24}
    assert [r.offset for r in after if r.offset >= 24] == list(range(24, partition.end_offset))


async def test_a_child_that_dies_is_reported_and_the_next_log_is_compacted(
    broker: Broker,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, second = await compacted(broker, "a"), await compacted(broker, "b")
    killed = []
    start = CompactionProcess._start

    async def start_and_kill(self: CompactionProcess) -> asyncio.subprocess.Process:
        child = await start(self)
        if not killed:
            killed.append(child.pid)
            child.send_signal(signal.SIGKILL)
        return child

    monkeypatch.setattr(CompactionProcess, "_start", start_and_kill)
    with caplog.at_level(logging.ERROR):
        await broker.compaction.run(clock.now_ms())
    assert "is not compacted: the process ended with status -9" in caplog.text
    counters = broker.compaction.counters
    assert (counters.failed, counters.compacted) == (1, 1)
    sizes = sorted(partition.size_bytes for partition in (first, second))
    assert sizes[0] < sizes[1]
    assert len(await read_all(first)) + len(await read_all(second)) < 48
    assert not leftovers(first)
    assert not leftovers(second)


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[300] ^= 1
    path.write_bytes(data)


async def test_damage_is_reported_and_left_for_its_readers(
    broker: Broker, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    partition = await compacted(broker)
    path = Path(log_of(partition).segments[0].path(".log"))
    damage(path)
    with caplog.at_level(logging.ERROR):
        await broker.compaction.run(clock.now_ms())
    assert f"corrupt record batch in {path} at byte 0" in caplog.text
    counters = broker.compaction.counters
    assert (counters.failed, counters.compacted) == (1, 0)
    # Nothing would be different the next time; other logs are compacted meanwhile.
    other = await compacted(broker, "other")
    size = other.size_bytes
    await fill(broker, partition)
    await broker.compaction.run(clock.now_ms())
    assert (counters.failed, counters.compacted) == (1, 1)
    assert other.size_bytes < size
    assert log_of(partition).segments[0].next_offset == log_of(partition).segments[1].base_offset
    assert (await partition.read(0, 1)).next_offset == 1


async def test_a_stop_does_not_wait_for_a_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The budget would let the pass take an hour; the next broker compacts from the beginning."""
    budget = "log.cleaner.io.max.bytes.per.second"
    broker = await Broker.open(str(tmp_path), BrokerSettings({budget: "1024"}))
    partition = await compacted(broker)
    before = latest(await read_all(partition))
    started = asyncio.Event()
    start = CompactionProcess._start

    async def noted(self: CompactionProcess) -> asyncio.subprocess.Process:
        child = await start(self)
        started.set()
        return child

    monkeypatch.setattr(CompactionProcess, "_start", noted)
    await asyncio.wait_for(started.wait(), 30)
    await asyncio.wait_for(broker.close(), 30)
    broker = await Broker.open(str(tmp_path), BrokerSettings({}))
    partition = broker.topic("t").partition(0)
    assert not leftovers(partition)
    await broker.compaction.run(broker.clock.now_ms())
    after = await read_all(partition)
    assert len(after) < 24
    assert latest(after) == before
    await broker.close()


async def test_a_child_ends_with_its_broker(broker: Broker, clock: ManualClock) -> None:
    """The end of its input stops a job that a small budget would let take an hour."""
    partition = await compacted(broker)
    plan = await broker.compaction.plan(partition, clock.now_ms())
    job = broker.compaction._job(partition, plan, clock.now_ms())
    child = await CompactionProcess(1024)._start()
    assert child.stdin is not None
    child.stdin.write(json.dumps(job._asdict()).encode() + b"\n")
    child.stdin.close()
    assert await asyncio.wait_for(child.wait(), 30) == 1
