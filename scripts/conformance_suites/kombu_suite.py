"""kombu's integration tests of its Kafka transport, which is built on confluent-kafka.

They look for the broker at localhost:9092; a copy of them is told the real address.
"""

from __future__ import annotations

import shutil

from pytest_suite import run_pytest
from sources import python_source, virtual_environment
from suite import Run, Suite, TestResult

PACKAGE = "kombu==5.7.0"
REQUIREMENTS = [PACKAGE, "confluent-kafka", "pytest==9.0.2", "pytest-timeout", "hypothesis"]
_ADDRESS = "hostname='localhost',\n        port='9092'"


def run(run: Run) -> list[TestResult]:
    """Copy the tests away from the library beside them and run them at this address."""
    source = python_source(PACKAGE, run.cache)
    python = virtual_environment("kombu", REQUIREMENTS, run.cache)
    directory = run.logs / "tests"
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(source / "t", directory / "t")
    tests = directory / "t" / "integration" / "test_kafka.py"
    text = tests.read_text()
    assert _ADDRESS in text, f"{PACKAGE} no longer says where its broker is as it did"
    tests.write_text(text.replace(_ADDRESS, f"hostname='{run.host}', port='{run.port}'"))
    arguments = ["--override-ini=python_classes=test_*", "t/integration/test_kafka.py"]
    return run_pytest(run, python, directory, arguments, {})


KOMBU = Suite(name="kombu", source=PACKAGE, run=run)
