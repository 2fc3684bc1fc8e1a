"""Runs tests in Go and reads what ``go test -json`` tells."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

from suite import Outcome, Run, TestResult

SUITE_SECONDS = 900
_OUTCOMES: dict[str, Outcome] = {"pass": "passed", "fail": "failed", "skip": "skipped"}
_REASON = re.compile(r"^(?:.*_test\.go:\d+: *|panic: |\s*Error: *)(\S.*)")


def missing() -> str | None:
    """What this machine lacks to fetch and build them."""
    return None if shutil.which("go") else "go not found"


def module(name: str) -> Path:
    """The folder of ``module@version`` in Go's own cache, read-only."""
    told = subprocess.run(
        ["go", "mod", "download", "-json", name], check=True, stdout=subprocess.PIPE
    )
    return Path(json.loads(told.stdout)["Dir"])


def module_copy(name: str, directory: Path) -> Path:
    """A copy of a module that can be changed."""
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(module(name), directory, copy_function=shutil.copyfile)
    for path in (directory, *directory.rglob("*")):
        path.chmod(0o755)
    return directory


def run_go(
    run: Run, directory: Path, arguments: list[str], environment: dict[str, str]
) -> list[TestResult]:
    """The results of ``go test`` in a folder, one for each test function."""
    with (run.logs / "go.log").open("w+b") as log:
        subprocess.run(
            [
                *("go", "test", "-json", "-count=1", f"-parallel={run.jobs}"),
                *(f"-timeout={SUITE_SECONDS}s", *arguments),
            ],
            cwd=directory,
            env={**os.environ, **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        log.seek(0)
        events = [json.loads(line) for line in log if line.startswith(b"{")]
    return _results(events) or [TestResult("go test", "failed", "no test ran")]


def _results(events: list[dict[str, Any]]) -> list[TestResult]:
    """A test that was running when the process ended has no outcome: it failed."""
    outcomes: dict[str, Outcome] = {}
    output: dict[str, list[str]] = defaultdict(list)
    for event in events:
        name = event.get("Test", "").partition("/")[0]
        if not name:
            continue
        outcomes.setdefault(name, "failed")
        if event["Action"] == "output":
            output[name].append(event["Output"])
        elif event["Test"] == name and event["Action"] in _OUTCOMES:
            outcomes[name] = _OUTCOMES[event["Action"]]
    return [
        TestResult(name, outcome, "" if outcome == "passed" else _reason(output[name]))
        for name, outcome in outcomes.items()
    ]


def _reason(lines: list[str]) -> str:
    found = [match[1] for match in map(_REASON.match, lines) if match]
    return found[0] if found else "the suite gives no reason"
