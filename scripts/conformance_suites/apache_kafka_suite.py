"""Apache Kafka's own integration tests of its Java clients and programs, from Maven Central.

They ask one class for a cluster. Ours stands in for it and starts a Tidelog broker for each test,
with the settings that the test wants; the broker that other suites are run against is not used.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from junit_report import read_report
from suite import Run, Suite, TestResult

from tidelog.broker.settings.broker_settings import BROKER_SETTINGS

VERSION = "4.3.1"
_HERE = Path(__file__).with_name("apache_kafka")
_NEEDED = ("java", "javac", "mvn")
_TEST_SECONDS = 120
_CLASSES = (
    "clients.consumer.PlaintextConsumerSubscriptionTest",
    "clients.consumer.PlaintextConsumerCommitTest",
    "clients.consumer.PlaintextConsumerFetchTest",
    "clients.consumer.ConsumerTopicCreationTest",
    "tools.consumer.group.ListConsumerGroupTest",
    "tools.consumer.group.DeleteConsumerGroupsTest",
    "tools.consumer.group.DeleteOffsetsConsumerGroupCommandIntegrationTest",
)
_LAUNCHER = "org.junit.platform.console.ConsoleLauncher"
_OPTIONS = {
    "junit.jupiter.extensions.autodetection.enabled": "true",
    "junit.jupiter.execution.timeout.testtemplate.method.default": f"{_TEST_SECONDS}s",
    "junit.jupiter.execution.timeout.thread.mode.default": "SEPARATE_THREAD",
}


def missing() -> str | None:
    """What this machine lacks to fetch, compile and run it."""
    absent = [tool for tool in _NEEDED if shutil.which(tool) is None]
    return f"{', '.join(absent)} not found" if absent else None


def run(run: Run) -> list[TestResult]:
    """A process for each class, some at a time."""
    jars = run.cache / f"apache-kafka-tests-{VERSION}"
    _fetch(jars)
    ours = run.logs / "classes"
    shutil.rmtree(ours, ignore_errors=True)
    source = str(_HERE / "RaftClusterInvocationContext.java")
    subprocess.run(["javac", "-cp", f"{jars}/*", "-d", str(ours), source], check=True)
    with ThreadPoolExecutor(run.jobs) as pool:
        found = pool.map(partial(_one, run, f"{ours}:{jars}/*"), _CLASSES)
    return [result for results in found for result in results]


def _fetch(jars: Path) -> None:
    pom = _HERE / "pom.xml"
    kept = jars / "pom.xml"
    if kept.exists() and kept.read_bytes() == pom.read_bytes():
        return
    shutil.rmtree(jars, ignore_errors=True)
    goal = ("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={jars}")
    subprocess.run(
        ["mvn", "-q", "-B", "-f", str(pom), *goal], check=True, stdout=subprocess.DEVNULL
    )
    shutil.copyfile(pom, kept)


def _one(run: Run, class_path: str, name: str) -> list[TestResult]:
    place = run.logs / name.rsplit(".", 1)[-1]
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    settings = (one.name for one in BROKER_SETTINGS.values() if not one.read_only)
    properties = {
        "tidelog.python": sys.executable,
        "tidelog.settings": ",".join(settings),
        "tidelog.log": str(place / "broker.log"),
    }
    options = [word for key, value in _OPTIONS.items() for word in ("--config", f"{key}={value}")]
    with (place / "java.log").open("wb") as log:
        subprocess.run(
            [
                *("java", "-Xmx512m", *(f"-D{key}={value}" for key, value in properties.items())),
                *("-cp", class_path, _LAUNCHER, "execute", "--disable-banner", *options),
                *(f"--reports-dir={place}", f"--select-class=org.apache.kafka.{name}"),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    report = place / "TEST-junit-jupiter.xml"
    if not report.exists():
        return [TestResult(name, "failed", f"it wrote no report: see {place}")]
    return read_report(report)


APACHE_KAFKA = Suite(
    name="apache-kafka",
    source=f"kafka-clients-integration-tests and kafka-tools {VERSION}",
    run=run,
    missing=missing,
    explained={},
)
