"""Tells what a suite found and whether that is as expected."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from suite import Suite, TestResult


def tell(suite: Suite, results: list[TestResult], seconds: float, logs: Path) -> None:
    """Print the counts, and each test that failed or was skipped with its reason."""
    counts = Counter(result.outcome for result in results)
    told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped"))
    print(f"{suite.name} ({suite.source}): {told} in {seconds:.0f} s")
    for result in results:
        if result.outcome == "skipped":
            print(f"  skipped    {result.name}: {result.reason}")
        elif result.outcome == "failed" and result.name in suite.explained:
            print(f"  explained  {result.name}: {suite.explained[result.name]}")
        elif result.outcome == "failed":
            print(f"  FAILED     {result.name}: {result.reason}")
    if unexplained(suite, results):
        print(f"  see {logs}")


def unexplained(suite: Suite, results: list[TestResult]) -> list[TestResult]:
    """The failures that the suite's table does not know."""
    return [
        result
        for result in results
        if result.outcome == "failed" and result.name not in suite.explained
    ]


def outdated(suite: Suite, results: list[TestResult]) -> list[str]:
    """The entries of the suite's table whose test passes, or is not there any more."""
    still = {result.name for result in results if result.outcome != "passed"}
    return sorted(set(suite.explained) - still)
