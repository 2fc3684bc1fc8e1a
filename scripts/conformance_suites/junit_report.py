"""Reads the reports that test runners write in JUnit's format."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from suite import TestResult


def read_report(report: Path) -> list[TestResult]:
    """A result for each test, named by its class or file."""
    return [_result(case) for case in ElementTree.parse(report).iter("testcase")]


def _result(case: ElementTree.Element) -> TestResult:
    place = case.get("classname", "").rsplit(".", 1)[-1]
    name = f"{place}::{case.get('name')}"
    for kind in ("failure", "error", "skipped"):
        found = case.find(kind)
        if found is not None:
            reason = (found.get("message") or found.text or "").strip().split("\n", 1)[0]
            return TestResult(name, "skipped" if kind == "skipped" else "failed", reason)
    return TestResult(name, "passed")
