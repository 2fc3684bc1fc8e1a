"""The scripts of the checkout: each explains itself, and does nothing it was not asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted(
    path.name
    for path in (ROOT / "scripts").iterdir()
    if path.is_file() and os.access(path, os.X_OK)
)
SET_UP_FIRST = {"conformance", "test"}
"""What others parse for these, in the checkout's own virtual environment."""
in_checkout = pytest.mark.skipif(
    Path(sys.prefix) != ROOT / ".venv", reason="it would set up another virtual environment"
)


def marked(name: str) -> object:
    return pytest.param(name, marks=in_checkout) if name in SET_UP_FIRST else name


def run(directory: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / name, *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_there_are_scripts() -> None:
    assert {"run", "test", "setup", "lock", "bench", "chaos", "conformance"} <= set(SCRIPTS)


@pytest.mark.parametrize("name", list(map(marked, SCRIPTS)))
def test_help(tmp_path: Path, name: str) -> None:
    ended = run(tmp_path, name, "--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"scripts/{name}" in ended.stdout


@pytest.mark.parametrize("name", list(map(marked, SCRIPTS)))
def test_unknown_flags_are_refused(tmp_path: Path, name: str) -> None:
    ended = run(tmp_path, name, "--no-such-flag")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "usage: " in ended.stderr or f"scripts/{name}" in ended.stderr
