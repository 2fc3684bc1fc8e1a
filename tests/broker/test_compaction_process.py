"""The child that compacts: what it runs is ours, wherever the broker was started."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

import tidelog.broker
import tidelog.storage
from tests.support.compacting import cleaning_job
from tests.support.one_log import NOW, OneLog
from tidelog.broker.local.compaction_process import CompactionProcess
from tidelog.storage.local.cleaned_segment import Cleaned

SHADOWS = ("json.py", "logging.py", "select.py", "crc32c.py", "sitecustomize.py", "tidelog.py")


async def compacts(root: Path) -> bool:
    """Whether the child makes the sealed segments of a log with one key smaller."""
    one = OneLog(root, compact=True)
    one.fill(60)
    one.flush()
    sealed = one.log.active.base_offset
    before = sum(segment.size for segment in one.log.segments[:-1])
    async with CompactionProcess(1e9) as process:
        *cleaned, offset = [found async for found in process.clean(cleaning_job(one.log, NOW))]
    one.stop()
    kept = sum(segment.bytes for segment in cleaned if isinstance(segment, Cleaned))
    return offset == sealed and 0 < kept < before / 10


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: it has modules with the names of ours; each says when it is run."""
    here = tmp_path / "here"
    (here / "tidelog" / "storage").mkdir(parents=True)
    packages = [here / "tidelog" / "__init__.py", here / "tidelog" / "storage" / "__init__.py"]
    for path in (*(here / name for name in SHADOWS), *packages):
        path.write_text(f"open({str(tmp_path / 'was-run')!r}, 'w').close()\nraise SystemExit(1)\n")
    monkeypatch.chdir(here)
    return here


@pytest.mark.parametrize("safe_path", ["", "1"])
async def test_modules_of_the_working_directory_are_not_run(
    hostile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, safe_path: str
) -> None:
    monkeypatch.setenv("PYTHONSAFEPATH", safe_path)
    monkeypatch.setattr(sys, "path", [str(hostile), "", *sys.path])
    assert await compacts(tmp_path / "data")
    assert not (tmp_path / "was-run").exists()


async def test_the_working_directory_may_be_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert await compacts(tmp_path / "data")


async def test_an_install_that_only_the_broker_knows_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an archive of applications, or a program that extends its own path, has it."""
    for package in (tidelog.broker, tidelog.storage):
        place = Path(package.__path__[0])
        link = tmp_path / "lib" / "tidelog" / package.__name__.rpartition(".")[2]
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(place)
    (tmp_path / "lib" / "tidelog" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "lib")
    bare = str(Path(sys.base_prefix, "bin", "python3"))
    asked = await asyncio.create_subprocess_exec(
        *(bare, "-P", "-c", "import tidelog.broker"), stderr=asyncio.subprocess.DEVNULL
    )
    assert await asked.wait() == 1, "the test needs an interpreter without Tidelog"
    monkeypatch.setattr(sys, "executable", bare)
    assert await compacts(tmp_path / "data")
    assert os.listdir(tmp_path / "lib") == ["tidelog"]
