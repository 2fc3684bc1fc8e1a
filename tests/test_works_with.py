"""The table of programs that work, and the script that writes it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "scripts" / "works_with_programs"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, PROGRAMS, *arguments], capture_output=True, text=True, timeout=300
    )


def rows() -> dict[str, tuple[str, str]]:
    """Version and what was done, by the name of the program."""
    text = (ROOT / "README.md").read_text()
    table = text.partition("<!-- works with")[2].partition("<!-- end of works with")[0]
    found = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", table, re.MULTILINE)
    return {name: (version, text) for name, version, text in found[1:]}


def test_the_table_is_of_programs_that_the_script_can_run() -> None:
    listed = run("--list").stdout.splitlines()
    assert len(rows()) >= 12
    assert set(rows()) <= set(listed)
    assert all(re.match(r"\d+\.\d+", version) for version, _ in rows().values())


@pytest.mark.parametrize("name", ["curl", "kcat"])
def test_a_round_trip(name: str) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not here")
    before = (ROOT / "README.md").read_text()
    ended = run("--keep", name)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.match(rf"{name}.* \d+\.\d+.*: .*produce", ended.stdout)
    assert (ROOT / "README.md").read_text() == before


def test_a_name_that_no_program_has() -> None:
    ended = run("--keep", "no-such-program")
    assert ended.returncode == 2
    assert "no program is called no-such-program" in ended.stderr
