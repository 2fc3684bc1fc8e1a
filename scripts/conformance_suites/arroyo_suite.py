"""Arroyo's tests of its consumers, with classic groups and with those of the new protocol.

They take a broker that is already running from DEFAULT_BROKERS. The distribution lacks a module of
assertions: a stand-in is written beside the tests.
"""

from __future__ import annotations

import shutil

from pytest_suite import run_pytest
from sources import python_source, virtual_environment
from suite import Run, Suite, TestResult

PACKAGE = "sentry-arroyo==2.48.0"
REQUIREMENTS = [PACKAGE, "confluent-kafka==2.16.1", "pytest==9.0.2", "pytest-timeout"]
_ASSERTIONS = '''"""Stands in for the module of that name."""

import contextlib


@contextlib.contextmanager
def assert_changes(value, before, after):
    assert value() == before
    yield
    assert value() == after


@contextlib.contextmanager
def assert_does_not_change(value, expected):
    with assert_changes(value, expected, expected):
        yield
'''


def run(run: Run) -> list[TestResult]:
    """Copy the tests away from the library beside them, complete them, run them."""
    source = python_source(PACKAGE, run.cache)
    python = virtual_environment("arroyo", REQUIREMENTS, run.cache)
    directory = run.logs / "tests"
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(source / "tests", directory / "tests")
    (directory / "tests" / "__init__.py").touch()
    (directory / "tests" / "assertions.py").write_text(_ASSERTIONS)
    tests = ["tests/backends/test_kafka.py", "tests/test_kip848_e2e.py"]
    environment = {"DEFAULT_BROKERS": f"{run.host}:{run.port}"}
    return run_pytest(run, python, directory, tests, environment)


ARROYO = Suite(name="arroyo", source=PACKAGE, run=run)
