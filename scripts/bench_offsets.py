"""`scripts/bench offsets`: what the topic of committed offsets holds, and how long it loads.

Many groups commit at random at a steady rate, durably, while compaction runs as in any broker.
Shown every second: bytes held, and how many times the live content that is. Then the broker is
started again and the time until every group is known is taken.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time

from tidelog.broker.broker import Broker
from tidelog.broker.settings.broker_settings import BrokerSettings
from tidelog.consumer_groups.coordinator import Coordinator
from tidelog.consumer_groups.offsets_topic import OFFSETS_TOPIC
from tidelog.consumer_groups.records.offsets import OffsetAndMetadata
from tidelog.storage.batches.record_batch import HEADER_SIZE, batches, decode_records

TOPIC = "measured"
TICK_S = 0.05
RECORD_OVERHEAD = 10
"""Bytes of a record beside its key and value, about."""


def held_bytes(broker: Broker) -> int:
    """All segments of the topic."""
    return sum(partition.size_bytes for partition in broker.topic(OFFSETS_TOPIC).partitions)


async def live_bytes(broker: Broker) -> tuple[int, int]:
    """How many keys have a value, and the bytes of those records, each in a batch of its own."""
    live: dict[bytes | None, int] = {}
    for partition in broker.topic(OFFSETS_TOPIC).partitions:
        offset = partition.start_offset
        while offset < partition.end_offset:
            fetched = await partition.read(offset, 1024 * 1024)
            for data in fetched.data:
                for position, _ in batches(data):
                    for record in decode_records(data, position=position):
                        size = len(record.key or b"") + len(record.value or b"")
                        live[record.key] = HEADER_SIZE + RECORD_OVERHEAD + size
            offset = fetched.next_offset
    return len(live), sum(live.values())


async def commit_for(coordinator: Coordinator, given: argparse.Namespace, broker: Broker) -> None:
    """Commit at the rate that was asked for, and show what is held."""
    source = random.Random(1)
    begin = shown = time.monotonic()
    done, most = 0, 0
    while (now := time.monotonic()) - begin < given.seconds:
        due = int((now - begin) * given.rate) - done
        groups = [source.randrange(given.groups) for _ in range(min(due, 2000))]
        await asyncio.gather(
            *(
                coordinator.offsets.commit(f"group-{g}", {(TOPIC, 0): OffsetAndMetadata(done + n)})
                for n, g in enumerate(groups)
            )
        )
        done += len(groups)
        most = max(most, held_bytes(broker))
        if now - shown >= given.show:
            shown = now
            print(f"{now - begin:5.0f} s {done:>9} commits {held_bytes(broker):>10} bytes held")
        await asyncio.sleep(TICK_S)
    keys, live = await live_bytes(broker)
    print(f"{done / given.seconds:.0f} commits/s; {keys} groups, {live} bytes live")
    print(f"held at most {most} bytes, {most / live:.1f} times the live content")
    print(f"compaction: {broker.compaction.counters}")


async def measure(given: argparse.Namespace, directory: str) -> None:
    """Commit, stop, start, load."""
    broker = await Broker.open(directory, BrokerSettings({}))
    await broker.create_topic(TOPIC, 1)
    coordinator = Coordinator(broker)
    await coordinator.start()
    await coordinator.loaded()
    everyone = {(TOPIC, 0): OffsetAndMetadata(0)}
    for first in range(0, given.groups, 1000):
        groups = range(first, min(first + 1000, given.groups))
        await asyncio.gather(*(coordinator.offsets.commit(f"group-{g}", everyone) for g in groups))
    await commit_for(coordinator, given, broker)
    await coordinator.close()
    held = held_bytes(broker)
    await broker.close()
    broker = await Broker.open(directory, BrokerSettings({}))
    coordinator = Coordinator(broker)
    begin = time.monotonic()
    await coordinator.start()
    await coordinator.loaded()
    print(f"loaded {held} bytes in {time.monotonic() - begin:.3f} s")
    await coordinator.close()
    await broker.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--groups", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=5_000, help="commits a second")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--show", type=float, default=1.0, help="seconds between two lines")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-offsets-") as directory:
        asyncio.run(measure(given, directory))


if __name__ == "__main__":
    main()
