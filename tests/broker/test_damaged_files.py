"""Every file of a data directory, damaged in every way, after a clean stop and after a kill.

A start either mends what a file told, or lives without it. What was acknowledged is there, but for
records of a ``.log`` whose own bytes are damaged; topics, groups and ids are; new records are
taken and read again; and the next start has nothing more to tell.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.filled_directory import (
    NOW,
    RECORDS,
    STEP_MS,
    Facts,
    append,
    leave_by_a_kill,
    leave_cleanly,
    open_broker,
    values_at,
)
from tidelog.broker.broker import Broker
from tidelog.broker.partition import Partition
from tidelog.storage.errors import CorruptBatch, OffsetOutOfRange

WHOLE = "nothing is lost"
TOLD = "nothing is lost, and the start names the file"
SHOWN = "nothing is lost; what was deleted and is still on the disk may be shown again"
TOLD_SHOWN = "the same, and the start names the file"
ITS_OWN = "records of this file may be lost or unreadable, no others"


class Expected(NamedTuple):
    """What becomes of a directory when a file is missing, short, zeroed, or has a byte flipped."""

    missing: str
    short: str
    zeroed: str
    flipped: str


EXPECTED = {
    # Rebuilt from the directories and its copy; a flipped byte may be one that nobody reads.
    "catalog.sqlite": Expected(TOLD, TOLD, TOLD, WHOLE),
    # Folded into the catalog after each change: there is nothing in it.
    "catalog.sqlite-wal": Expected(WHOLE, WHOLE, WHOLE, WHOLE),
    "catalog.sqlite-shm": Expected(WHOLE, WHOLE, WHOLE, WHOLE),
    # The catalog knows as much.
    "catalog-checkpoint": Expected(WHOLE, WHOLE, WHOLE, WHOLE),
    # Made again from its copy, and the copy from it.
    "meta.properties": Expected(TOLD, TOLD, TOLD, TOLD),
    "meta-checkpoint": Expected(WHOLE, WHOLE, WHOLE, WHOLE),
    # Without them logs are read again, or compacted again. A byte flipped in the name of the
    # checksum's entry leaves the others right.
    "recovery-point-offset-checkpoint": Expected(WHOLE, TOLD, TOLD, WHOLE),
    "log-end-position-checkpoint": Expected(WHOLE, TOLD, TOLD, WHOLE),
    "cleaner-offset-checkpoint": Expected(WHOLE, TOLD, TOLD, WHOLE),
    "log-start-offset-checkpoint": Expected(SHOWN, TOLD_SHOWN, TOLD_SHOWN, SHOWN),
    # Only whether they are there counts.
    ".kafka_cleanshutdown": Expected(WHOLE, WHOLE, WHOLE, WHOLE),
    ".lock": Expected(WHOLE, WHOLE, WHOLE, WHOLE),
    # Made again from the catalog.
    "topic.metadata": Expected(WHOLE, WHOLE, WHOLE, WHOLE),
    "partition.metadata": Expected(WHOLE, WHOLE, WHOLE, WHOLE),
    # Made again from the batches; indexes are compared with them wherever they are used.
    "leader-epoch-checkpoint": Expected(WHOLE, WHOLE, WHOLE, WHOLE),
    ".index": Expected(WHOLE, WHOLE, WHOLE, WHOLE),
    ".timeindex": Expected(WHOLE, WHOLE, WHOLE, WHOLE),
    ".snapshot": Expected(WHOLE, WHOLE, WHOLE, WHOLE),
    # On its way out.
    ".deleted": Expected(WHOLE, WHOLE, WHOLE, WHOLE),
    # The truth itself.
    ".log": Expected(ITS_OWN, ITS_OWN, ITS_OWN, ITS_OWN),
}
_FLIPS = 4

Place = tuple[str, int]


class Left(NamedTuple):
    """A directory as it was left, and what it holds."""

    path: Path
    facts: Facts


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Left]:
    root = tmp_path_factory.mktemp("left")
    return {
        "a clean stop": Left(root / "clean", asyncio.run(leave_cleanly(root / "clean"))),
        "a kill": Left(root / "killed", leave_by_a_kill(root / "killed")),
    }


def kind_of(file: Path) -> str:
    """The line of the table."""
    return file.suffix if file.name[0].isdigit() else file.name


def files_of(path: Path, kind: str) -> list[Path]:
    """The files of a kind, relative to the directory; the first and the last of many."""
    found = [one.relative_to(path) for one in sorted(path.rglob("*")) if one.is_file()]
    same = [one for one in found if kind_of(one) == kind]
    return same if len(same) < 3 else [same[0], same[-1]]


def damages(data: bytes, seed: str) -> Iterator[tuple[str, bytes | None]]:
    """Names of columns of the table, and a content for each; None: no file."""
    yield "missing", None
    if not data:
        return
    yield "short", data[: len(data) // 2]
    if any(data):
        yield "zeroed", bytes(len(data))
    source = random.Random(seed)
    for at in {0, len(data) - 1, *(source.randrange(len(data)) for _ in range(_FLIPS - 2))}:
        bit = 1 << source.randrange(8)
        yield "flipped", data[:at] + bytes((data[at] ^ bit,)) + data[at + 1 :]


def test_the_table_has_every_file(left: dict[str, Left]) -> None:
    kinds = {
        kind_of(file) for one in left.values() for file in one.path.rglob("*") if file.is_file()
    }
    assert kinds == set(EXPECTED)


@pytest.mark.parametrize("how", ["a clean stop", "a kill"])
@pytest.mark.parametrize("kind", EXPECTED)
async def test_a_damaged_file(left: dict[str, Left], how: str, kind: str, tmp_path: Path) -> None:
    path, facts = left[how]
    for file in files_of(path, kind):
        data = (path / file).read_bytes()
        for damage, content in damages(data, str(file)):
            copy = Path(shutil.copytree(path, tmp_path / "data"))
            if content is None:
                (copy / file).unlink()
            else:
                (copy / file).write_bytes(content)
            expected = getattr(EXPECTED[kind], damage)
            where = f"{file} {damage} after {how}: {expected}"
            await check(Case(copy, facts, copy / file, expected, where))
            shutil.rmtree(copy)


class Case(NamedTuple):
    """A directory with a damaged file; ``where`` says so to people."""

    path: Path
    facts: Facts
    file: Path
    expected: str
    where: str


async def check(case: Case) -> None:
    broker = await open_broker(case.path)
    told = [*broker.opening.findings, *broker.opening.unfinished]
    assert not broker.store.stopped(), case.where
    if case.expected in (TOLD, TOLD_SHOWN):
        assert any(str(case.file) in line for line in told), (case.where, told)
    await check_facts(case, broker)
    after = {}
    for topic in broker.topics():
        for partition in topic.partitions:
            after[topic.name, partition.index] = partition.end_offset, append(partition)
            await partition.flushed(partition.end_offset)
    await check_new(case, broker, after)
    await broker.close()
    again = await open_broker(case.path)
    assert [*again.opening.findings, *again.opening.unfinished] == [], case.where
    await check_new(case, again, after)
    await again.close()


async def check_facts(case: Case, broker: Broker) -> None:
    """Everything that was there is, but for the records of a damaged log."""
    facts, where = case.facts, case.where
    assert broker.cluster_id == facts.cluster_id, where
    assert [topic.name for topic in broker.topics()] == sorted(facts.topics), where
    assert await broker.catalog.group_settings() == facts.groups, where
    assert await broker.producer_ids.allocate() > facts.given, where
    for name, found in facts.topics.items():
        topic = broker.topic(name)
        assert str(topic.id) == found.id, where
        assert topic.settings.overrides == found.settings, where
        assert len(topic.partitions) == len(found.logs), where
        for partition, (start, values) in zip(topic.partitions, found.logs, strict=True):
            assert partition.end_offset >= start + len(values), where
            if case.expected == ITS_OWN and case.file.parent.name == f"{name}-{partition.index}":
                await check_others(case, partition, start, values)
                continue
            if case.expected in (SHOWN, TOLD_SHOWN):
                assert partition.start_offset <= start, where
            else:
                assert partition.start_offset == start, where
            assert partition.end_offset == start + len(values), where
            await check_log(where, partition, start, values)


async def check_log(where: str, partition: Partition, start: int, values: list[str]) -> None:
    """Found from every offset, and at every time, as retention needs them too."""
    for offset, value in enumerate(values, start):
        assert (await values_at(partition, offset))[0] == value, (where, offset)
        time = NOW + offset * STEP_MS
        assert await partition.offset_for_timestamp(time) == (offset, time), (where, offset)
    for segment in await partition.segments():
        if segment.bytes:
            newest = NOW + (segment.next_offset - 1) * STEP_MS
            assert segment.last_timestamp == newest, (where, segment)


async def check_others(case: Case, partition: Partition, start: int, values: list[str]) -> None:
    """What other files of the log hold is there, or was cut off behind damage and is kept."""
    base = int(case.file.stem)
    behind = min(
        (int(one.stem) for one in case.file.parent.glob("*.log") if int(one.stem) > base),
        default=start + len(values),
    )
    for offset, value in enumerate(values, start):
        readable = ""
        with contextlib.suppress(CorruptBatch, OffsetOutOfRange):
            readable = (await values_at(partition, offset) or [""])[0]
        if offset < base or (offset >= behind and not partition.facts().damage):
            assert readable == value, (case.where, offset)


async def check_new(case: Case, broker: Broker, after: dict[Place, tuple[int, list[str]]]) -> None:
    """What was appended after the damage is read, and nothing else is there."""
    for (topic, index), (offset, values) in after.items():
        partition = broker.topic(topic).partition(index)
        assert partition.end_offset == offset + RECORDS, case.where
        assert await values_at(partition, offset) == values, case.where
