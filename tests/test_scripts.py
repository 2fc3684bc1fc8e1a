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
ASK_OTHERS = {"conformance", "test"}
"""These set up what knows the other flags."""


def run(directory: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A script in Python with ours, in which nothing has to be set up."""
    path = ROOT / "scripts" / name
    ours = [sys.executable] if "python3" in path.read_text().splitlines()[0] else []
    return subprocess.run(
        [*ours, path, *arguments], cwd=directory, capture_output=True, text=True, timeout=120
    )


def test_there_are_scripts() -> None:
    assert {"run", "test", "setup", "lock", "bench", "chaos", "conformance"} <= set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_help(tmp_path: Path, name: str) -> None:
    ended = run(tmp_path, name, "--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"scripts/{name}" in ended.stdout


@pytest.mark.parametrize("name", sorted({*SCRIPTS} - ASK_OTHERS))
def test_unknown_flags_are_refused(tmp_path: Path, name: str) -> None:
    ended = run(tmp_path, name, "--no-such-flag")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "usage: " in ended.stderr or f"scripts/{name}" in ended.stderr
