"""One sync serves all who wait; a failed one stops the log for good."""

import asyncio
import threading
import uuid
from pathlib import Path

import pytest

from tests.support.manual_clock import ManualClock
from tidelog.broker.environment import threads
from tidelog.broker.local.group_commit import GroupCommit
from tidelog.storage.batches.record_batch import encode_batch
from tidelog.storage.errors import WritesStopped
from tidelog.storage.files import Disk, File
from tidelog.storage.local.log import Log
from tidelog.storage.local.log_state import LogPlace
from tidelog.storage.local.open_segments import OpenSegments
from tidelog.storage.local.recovery import create_log
from tidelog.storage.log_settings import LogSettings


class GatedFile(File):
    """A file whose sync waits for a gate and may be told to fail."""

    gate: threading.Event
    failing = False
    syncs = 0

    def sync(self) -> None:
        self.gate.wait(10)
        type(self).syncs += 1
        if self.failing:
            raise OSError(5, "Input/output error")
        super().sync()


class GatedDisk(Disk):
    def __init__(self, kind: type[GatedFile]) -> None:
        self._kind = kind

    def open(self, path: str, *, create: bool = True) -> File:
        plain = super().open(path, create=create)
        return self._kind(path, plain.detach())


@pytest.fixture
def kind() -> type[GatedFile]:
    gated = type("Gated", (GatedFile,), {"gate": threading.Event(), "syncs": 0})
    gated.gate.set()
    return gated


@pytest.fixture
def log(tmp_path: Path, kind: type[GatedFile]) -> Log:
    place = LogPlace(GatedDisk(kind), str(tmp_path / "t-0"), "t", 0, OpenSegments())
    return create_log(place, uuid.uuid4(), LogSettings())


def append(log: Log) -> int:
    return log.append(encode_batch([(1, b"k", b"v", ())]), 1).last_offset + 1


async def test_one_sync_serves_all_who_wait_while_another_runs(
    log: Log, kind: type[GatedFile]
) -> None:
    commit = GroupCommit(fsync=True, on_progress=lambda: None, workers=threads)
    kind.gate.clear()
    waits = [asyncio.ensure_future(commit.flushed(log, append(log)))]
    await asyncio.sleep(0)
    waits += [asyncio.ensure_future(commit.flushed(log, append(log))) for _ in range(50)]
    await asyncio.sleep(0)
    assert not any(wait.done() for wait in waits)
    kind.gate.set()
    await asyncio.gather(*waits)
    assert kind.syncs == 2
    assert log.flushed_offset == 51
    commit.close()


async def test_what_is_durable_already_costs_no_sync(log: Log, kind: type[GatedFile]) -> None:
    commit = GroupCommit(fsync=True, on_progress=lambda: None, workers=threads)
    await commit.flushed(log, append(log))
    await commit.flushed(log, 1)
    assert kind.syncs == 1
    commit.close()


async def test_a_failed_sync_stops_writing_and_tells_everyone(
    log: Log, kind: type[GatedFile]
) -> None:
    commit = GroupCommit(fsync=True, on_progress=lambda: None, workers=threads)
    kind.failing = True
    waits = [commit.flushed(log, append(log)) for _ in range(3)]
    results = await asyncio.gather(*waits, return_exceptions=True)
    assert [type(result) for result in results] == [WritesStopped] * 3
    kind.failing = False
    with pytest.raises(WritesStopped, match="Input/output error"):
        append(log)
    with pytest.raises(WritesStopped):
        await commit.flushed(log, 1)
    assert len(log.read(0, 1000, wait=True).data) > 0
    commit.close()


async def test_the_operating_system_keeps_the_promise_when_told_so(
    log: Log, kind: type[GatedFile]
) -> None:
    commit = GroupCommit(fsync=False, on_progress=lambda: None, workers=threads)
    kind.gate.clear()
    await commit.flushed(log, append(log))
    assert kind.syncs == 0
    kind.gate.set()
    commit.close()


async def test_progress_is_told_after_each_sync(log: Log) -> None:
    told = asyncio.Event()
    commit = GroupCommit(fsync=True, on_progress=told.set, workers=threads)
    append(log)
    commit.flush_soon(log)
    await told.wait()
    assert log.flushed_offset == 1
    commit.close()


async def test_a_sync_is_timed_once_whoever_waits_for_it(log: Log, kind: type[GatedFile]) -> None:
    clock = ManualClock()
    commit = GroupCommit(fsync=True, on_progress=lambda: None, workers=threads, clock=clock)
    kind.gate.clear()
    waits = [asyncio.ensure_future(commit.flushed(log, append(log))) for _ in range(10)]
    await asyncio.sleep(0)
    clock.advance(30)
    kind.gate.set()
    await asyncio.gather(*waits)
    assert (commit.times.count, commit.times.sum_ns) == (1, 30_000_000)
    commit.close()
