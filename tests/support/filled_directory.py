"""A data directory with something of everything, left by a clean stop or by a kill.

Run as a program it fills a directory, prints what it holds and kills itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.support.broker_process import environment
from tests.support.manual_clock import ManualClock
from tidelog.broker.broker import Broker
from tidelog.broker.environment import Environment
from tidelog.broker.local.local_log import log_of
from tidelog.broker.partition import Partition
from tidelog.broker.settings.broker_settings import BrokerSettings
from tidelog.storage.batches.record_batch import (
    batches,
    check_batches,
    decode_records,
    encode_batch,
)

NOW = 1_700_000_000_000
STEP_MS = 1000
RECORDS = 2
"""Of each batch; record n of a log has the time NOW + n * STEP_MS."""
OWN = {"retention.ms": "-1", "segment.ms": "16000", "index.interval.bytes": "0"}
COMPACTED = {"cleanup.policy": "compact", "segment.ms": "16000"}
GROUP = {"consumer.session.timeout.ms": "50000"}


class FoundTopic(NamedTuple):
    """All that makes a topic; ``logs`` are the start offset and the values from there on."""

    id: str
    settings: dict[str, str]
    logs: list[tuple[int, list[str]]]


class Facts(NamedTuple):
    """What a directory holds; ``given`` is the largest producer id that was given."""

    cluster_id: str
    topics: dict[str, FoundTopic]
    groups: dict[str, dict[str, str]]
    given: int


async def open_broker(path: Path) -> Broker:
    return await Broker.open(str(path), BrokerSettings({}), Environment(clock=ManualClock(NOW)))


def append(partition: Partition, producer_id: int = -1, sequence: int = -1) -> list[str]:
    """One batch of which each value tells the offset; the values."""
    first = partition.end_offset
    values = [f"{partition.topic}-{partition.index}@{n}" for n in range(first, first + RECORDS)]
    records = [
        (NOW + (first + n) * STEP_MS, value.encode(), value.encode(), ())
        for n, value in enumerate(values)
    ]
    epoch = -1 if producer_id < 0 else 0
    partition.append(
        encode_batch(records, producer_id=producer_id, producer_epoch=epoch, base_sequence=sequence)
    )
    return values


async def values_at(partition: Partition, offset: int, max_bytes: int = 1) -> list[str]:
    """The values of the batch that holds ``offset``, or of more, from there on.

    Raises CorruptBatch, OffsetOutOfRange.
    """
    fetched = await partition.read(offset, max_bytes)
    values = []
    for buffer in fetched.data:
        check_batches(buffer)
        for position, _ in batches(buffer):
            values += [
                (record.value or b"").decode()
                for record in decode_records(buffer, position=position)
                if record.offset >= offset
            ]
    return values


async def fill(broker: Broker) -> Facts:
    """Topics of several segments, producers, deleted records and topics, settings of everything."""
    given = await broker.producer_ids.allocate()
    await broker.create_topic("gone", 2, OWN)
    await broker.create_topic("events", 2, OWN)
    await broker.create_topic("keys", 1, COMPACTED)
    await broker.delete_topic("gone")
    await broker.catalog.set_group_settings("g", GROUP)
    topics = {}
    for topic in broker.topics():
        logs = []
        for partition in topic.partitions:
            values = []
            for batch in range(25):
                producer_id = given if batch % 2 else -1
                sequence = batch // 2 * RECORDS if batch % 2 else -1
                values += append(partition, producer_id, sequence)
            await partition.flushed(partition.end_offset)
            logs.append((0, values))
        topics[topic.name] = FoundTopic(str(topic.id), dict(topic.settings.overrides), logs)
    start = await broker.topic("events").partition(0).delete_records(21)
    topics["events"].logs[0] = start, topics["events"].logs[0][1][start:]
    log_of(broker.topic("keys").partition(0)).cleaned_offset = 34
    await broker.store.save_checkpoints()
    return Facts(broker.cluster_id, topics, {"g": GROUP}, given)


async def leave_cleanly(path: Path) -> Facts:
    """Fill a directory and stop."""
    broker = await open_broker(path)
    facts = await fill(broker)
    await broker.close()
    return facts


def leave_by_a_kill(path: Path) -> Facts:
    """Let a process fill a directory and die of it."""
    arguments = [sys.executable, "-m", "tests.support.filled_directory", str(path)]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        arguments, cwd=root, env=environment(), capture_output=True, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    cluster_id, topics, groups, given = json.loads(done.stdout)
    read = {
        name: FoundTopic(topic_id, settings, [(start, values) for start, values in logs])
        for name, (topic_id, settings, logs) in topics.items()
    }
    return Facts(cluster_id, read, groups, given)


async def _fill_and_die(path: Path) -> None:
    facts = await fill(await open_broker(path))
    print(json.dumps(facts), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(_fill_and_die(Path(sys.argv[1])))
