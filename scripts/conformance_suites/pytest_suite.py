"""Runs a suite of pytest tests and reads its report."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from junit_report import read_report
from suite import Run, TestResult

TEST_SECONDS = 90


def run_pytest(
    run: Run, python: Path, directory: Path, arguments: list[str], environment: dict[str, str]
) -> list[TestResult]:
    """The results of ``pytest`` in a directory; tests are named by their class or file."""
    report = run.logs / "report.xml"
    report.unlink(missing_ok=True)
    with (run.logs / "pytest.log").open("wb") as log:
        subprocess.run(
            [
                *(str(python), "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly"),
                *(f"--timeout={TEST_SECONDS}", f"--junit-xml={report}", *arguments),
            ],
            cwd=directory,
            env={**os.environ, **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    if not report.exists():
        return [TestResult("pytest", "failed", "it wrote no report")]
    return read_report(report)
