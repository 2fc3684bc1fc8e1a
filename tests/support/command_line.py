"""The ``tidelog`` command, run as a person would, but not on a terminal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.support.broker_process import environment


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        """Of standard output."""
        return self.stdout.splitlines()


def tidelog(
    *arguments: str,
    stdin: str = "",
    variables: dict[str, str] | None = None,
    directory: Path | None = None,
) -> Ended:
    """Run it to its end; a traceback is never right."""
    done = subprocess.run(
        [sys.executable, "-m", "tidelog.api.cli", *arguments],
        input=stdin,
        env=environment({"COLUMNS": "200", **(variables or {})}),
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)
