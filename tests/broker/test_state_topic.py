"""State as the records of an internal topic, here numbers by name: written, applied, read back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.broker.test_transactions import marker
from tests.support.faulty_disk import FaultyDisk
from tidelog.broker.broker import Broker
from tidelog.broker.environment import Environment
from tidelog.broker.settings.broker_settings import BrokerSettings
from tidelog.broker.state_topic import StateKind, StateTopic, partition_of
from tidelog.storage.batches.record_batch import TRANSACTIONAL, encode_batch

TOPIC = "__numbers"
Number = tuple[str, int | None]


class Unavailable(Exception):
    """What this state's users are told."""


def encode(record: Number) -> tuple[bytes, bytes | None]:
    name, value = record
    return name.encode(), None if value is None else str(value).encode()


def decode(key: bytes | None, value: bytes | None) -> Number | None:
    if key is None:
        raise ValueError("a number needs a name")
    if key.startswith(b"#"):
        return None
    return key.decode(), None if value is None else int(value)


class Numbers:
    """A broker with the state, and how to start both again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.disk = FaultyDisk(path)
        self.broker: Broker
        self.topic: StateTopic[Number]
        self.known: dict[str, int] = {}

    async def start(self) -> None:
        self.known = {}
        self.broker = await Broker.open(
            str(self.path), BrokerSettings({}), Environment(disk=self.disk)
        )
        kind = StateKind(
            topic=TOPIC,
            partitions=3,
            segment_bytes=1 << 20,
            encode=encode,
            decode=decode,
            unavailable=Unavailable,
        )
        self.topic = StateTopic(self.broker, kind, self._apply)
        await self.topic.load()

    def _apply(self, record: Number) -> None:
        name, value = record
        if value is None:
            self.known.pop(name, None)
        else:
            self.known[name] = value

    async def stop(self) -> None:
        await self.topic.drain()
        await self.broker.close()

    def log_of(self, key: str) -> Path:
        """The first file of the partition that has the key's records."""
        return self.path / f"{TOPIC}-{partition_of(key, 3)}" / f"{0:020}.log"


@pytest.fixture
async def numbers(tmp_path: Path) -> AsyncIterator[Numbers]:
    numbers = Numbers(tmp_path / "data")
    await numbers.start()
    yield numbers
    if not numbers.broker.closing:
        await numbers.stop()


async def test_what_was_written_is_read_back(numbers: Numbers) -> None:
    await asyncio.gather(*(numbers.topic.write(f"n{n}", [(f"n{n}", n)]) for n in range(20)))
    await numbers.topic.write("n3", [("n3", None)])
    expected = {f"n{n}": n for n in range(20) if n != 3}
    assert numbers.known == expected
    await numbers.stop()
    await numbers.start()
    assert numbers.known == expected
    assert numbers.topic.loaded == numbers.topic.total == 21


async def test_a_function_sees_all_that_was_written_before_it(numbers: Numbers) -> None:
    first = numbers.topic.write("a", [("a", 1)])
    second = numbers.topic.write("a", lambda: [("a", numbers.known["a"] + 1)])
    await asyncio.gather(first, second)
    assert numbers.known == {"a": 2}


async def test_a_write_at_once_comes_after_those_that_wait(numbers: Numbers) -> None:
    await numbers.topic.exists()
    waiting = numbers.topic.write("a", [("a", 1)])
    done = numbers.topic.write_now("a", [("a", 2)])
    assert numbers.known == {"a": 2}
    await asyncio.gather(waiting, done)
    await numbers.stop()
    await numbers.start()
    assert numbers.known == {"a": 2}


async def test_one_that_fails_takes_no_other_with_it(numbers: Numbers) -> None:
    def fail() -> list[Number]:
        raise LookupError("no such number")

    one, bad, unwritable, last = (
        numbers.topic.write("a", [("a", 1)]),
        numbers.topic.write("a", fail),
        numbers.topic.write("a", [("\ud800", 1)]),
        numbers.topic.write("a", [("b", 2)]),
    )
    await asyncio.gather(one, last)
    with pytest.raises(LookupError):
        await bad
    with pytest.raises(Unavailable):
        await unwritable
    assert numbers.known == {"a": 1, "b": 2}


async def test_what_the_disk_refuses_is_not_applied(numbers: Numbers) -> None:
    await numbers.topic.write("a", [("a", 1)])
    numbers.disk.room_bytes = 0
    with pytest.raises(Unavailable):
        await numbers.topic.write("a", [("a", 2)])
    with pytest.raises(Unavailable):
        numbers.topic.write_now("a", [("a", 2)])
    assert numbers.known == {"a": 1}
    numbers.disk.room_bytes = None


async def test_records_of_others_are_passed_over(numbers: Numbers) -> None:
    await numbers.topic.write("a", [("a", 1)])
    for key, value in ((b"#later", b"x"), (b"odd", b"no number")):
        numbers.broker.topic(TOPIC).partition(0).append(encode_batch([(1, key, value, ())]))
    await numbers.stop()
    await numbers.start()
    assert numbers.known == {"a": 1}


async def test_transactions_count_when_their_marker_says_so(numbers: Numbers) -> None:
    """The log is one that Apache Kafka wrote."""
    await numbers.topic.write("a", [("a", 1)])
    await numbers.stop()
    written = bytearray()
    for offset, (name, value, producer) in enumerate(
        [("b", b"2", 7), ("c", b"3", 8), ("d", b"4", 9)], start=1
    ):
        written += encode_batch(
            [(1, name.encode(), value, ())],
            attributes=TRANSACTIONAL,
            producer_id=producer,
            producer_epoch=0,
            base_sequence=0,
            base_offset=offset,
        )
    written += marker(7, 1, 4) + marker(8, 0, 5)
    written += encode_batch([(1, b"e", b"5", ())], base_offset=6)
    with numbers.log_of("a").open("ab") as log:
        log.write(written)
    (numbers.path / ".kafka_cleanshutdown").unlink(missing_ok=True)
    numbers.disk = FaultyDisk(numbers.path)
    await numbers.start()
    assert numbers.known == {"a": 1, "b": 2, "e": 5}
    assert numbers.topic.loaded == numbers.topic.total == 7
