"""Runs a suite of pytest tests and reads its report."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from xml.etree import ElementTree

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
    cases = ElementTree.parse(report).iter("testcase")
    return [_result(case) for case in cases]


def _result(case: ElementTree.Element) -> TestResult:
    place = case.get("classname", "").rsplit(".", 1)[-1]
    name = f"{place}::{case.get('name')}"
    for kind in ("failure", "error", "skipped"):
        found = case.find(kind)
        if found is not None:
            reason = (found.get("message") or "").strip().split("\n", 1)[0]
            return TestResult(name, "skipped" if kind == "skipped" else "failed", reason)
    return TestResult(name, "passed")
