"""librdkafka's tests, from the sources that a package for Node carries, as five suites.

``librdkafka`` is 0001 to 0051; ``librdkafka-later`` what follows, but for tests that need no
broker or share groups; ``librdkafka-consumer`` the tests of consumers, which join their groups by
the protocol of KIP-848; ``librdkafka-created`` those for a broker that creates no topics by itself;
``librdkafka-admin`` the parts of 0081 that follow on the one about access rules, which ends it.
The library and its test runner are built once. Each test is a process of its own, so that one
that hangs or aborts takes no other with it.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sources import node_source
from suite import Outcome, Run, Suite, TestResult

PACKAGE = "@confluentinc/kafka-javascript@1.10.1"
KAFKA_VERSION = "4.3.0.0"
EARLY, LATER = range(1, 52), range(52, 155)
CONSUMERS = (*EARLY, *(56, 89, 91, 99, 102, 106, 113, 116, 118, 120, 122, 130, 132, 137, 140))
TEST_SECONDS = 300
_CREATED = (45, 107, 111)
_ADMIN = tuple(
    f"do_test_{part}"
    for part in (
        *("DescribeConfigs", "DeleteRecords", "ListConsumerGroups", "DescribeConsumerGroups"),
        *("DescribeTopics", "DescribeCluster", "DeleteGroups", "DeleteConsumerGroupOffsets"),
        *("ListOffsets", "AlterConsumerGroupOffsets", "ListConsumerGroupOffsets"),
    )
)
_NEEDED = ("npm", "make", "cc", "c++", "bash")
_WITHOUT = ("--disable-ssl", "--disable-gssapi", "--disable-curl")
_COLOUR = re.compile(r"\x1b\[\d+m")
_FAILURE = re.compile(r'### Test "[^"]*" failed at ([^:]+:\d+):.*###\n(.*)')
_SKIPPED = re.compile(
    r"(?:SKIPPING TEST: |Skipping test (\w+) \()(.*?)\)?(?: =+|\[\w+ .*)?$", re.MULTILINE
)
_ELSEWHERE = ("mock", "_ut", "share_consumer")
_SCRIPTS = "needs Apache Kafka's shell scripts"
_TRANSACTIONS = "transactions are not supported yet"
_LATER_EXPLAINED = {
    "0052_msg_timestamps": _SCRIPTS,
    "0064_interceptors": "wants a library that is built with TLS",
    "0077_compaction": _SCRIPTS,
    "0081_admin": "needs access rules",
    "0098_consumer_txn": _TRANSACTIONS,
    "0103_transactions": _TRANSACTIONS,
    "0109_auto_create_topics": _SCRIPTS,
    "0115_producer_auth": _SCRIPTS,
    "0119_consumer_auth": _SCRIPTS,
    "0129_fetch_aborted_msgs": _TRANSACTIONS,
}
_OUTCOMES: dict[str, Outcome] = {"PASSED": "passed", "SKIPPED": "skipped"}


def missing() -> str | None:
    """What this machine lacks to fetch and build it."""
    absent = [tool for tool in _NEEDED if shutil.which(tool) is None]
    return f"{', '.join(absent)} not found" if absent else None


def run(
    wanted: Collection[int], parts: Collection[str], extra: dict[str, str], run: Run
) -> list[TestResult]:
    """Build, then run the tests of these numbers, or parts of them, some at a time."""
    tests = _built(node_source(PACKAGE, run.cache) / "deps" / "librdkafka") / "tests"
    configuration = run.logs / "test.conf"
    address = f"{run.host}:{run.port}"
    configuration.write_text(f"metadata.broker.list={address}\ntest.topic.random=true\n")
    environment = {
        **os.environ,
        **extra,
        "LD_LIBRARY_PATH": "../src:../src-cpp",
        "RDKAFKA_TEST_CONF": str(configuration),
        "TEST_KAFKA_VERSION": KAFKA_VERSION,
        "TEST_LEVEL": "3",
    }
    jobs = list(itertools.product(_numbers(tests, wanted), parts))
    with ThreadPoolExecutor(run.jobs) as pool:
        found = pool.map(lambda job: _one(run, tests, *job, environment), jobs)
    return [result for results in found for result in results]


def _numbers(tests: Path, wanted: Collection[int]) -> list[str]:
    """The numbers of the test files that are meant for a broker."""
    names = (path.name for path in tests.glob("0[0-9][0-9][0-9]-*.c*"))
    numbers = {name[:4] for name in names if not any(word in name for word in _ELSEWHERE)}
    return sorted(number for number in numbers if int(number) in wanted)


def _built(source: Path) -> Path:
    """The sources with library and test runner built; the stamp is written last."""
    stamp = source / "built"
    if not stamp.exists():
        print("  building librdkafka and its tests (some minutes, once)", flush=True)
        with (source / "build.log").open("wb") as log:
            for command in (
                ["bash", "./configure", *_WITHOUT],
                ["make", "-j2", "-C", "src"],
                ["make", "-j2", "-C", "src-cpp"],
                ["make", "-j2", "-C", "tests", "build"],
            ):
                subprocess.run(
                    command, cwd=source, check=True, stdout=log, stderr=subprocess.STDOUT
                )
        stamp.touch()
    return source


def _one(
    run: Run, tests: Path, number: str, part: str, environment: dict[str, str]
) -> list[TestResult]:
    """The results of one source file, which may hold several tests; only of a part if it says."""
    name = f"{number}.{part}" if part else number
    report, log = run.logs / f"{name}.json", run.logs / f"{name}.log"
    chosen = {"TESTS": number, "SUBTESTS": part} if part else {"TESTS": number}
    report.unlink(missing_ok=True)
    with log.open("wb") as output:
        try:
            subprocess.run(
                ["./test-runner", "-p1", "-Q"],
                cwd=tests,
                env={**environment, **chosen, "TEST_REPORT": str(report)},
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=TEST_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return [TestResult(name, "failed", f"not done after {TEST_SECONDS} s")]
    text = _COLOUR.sub("", log.read_text(errors="replace"))
    if not report.exists():
        return [TestResult(name, "failed", _failure(text))]
    states = json.loads(report.read_text())["tests"]
    results = [_result(one, state, text) for one, state in states.items() if one.startswith(number)]
    return [replace(one, name=f"{one.name}.{part}") for one in results] if part else results


def _result(name: str, state: dict[str, Any], text: str) -> TestResult:
    outcome = _OUTCOMES.get(state["state"], "failed")
    if outcome == "failed":
        return TestResult(name, outcome, _failure(text))
    if outcome == "skipped":
        known = state["known_issue"]
        return TestResult(
            name, outcome, "its authors know it to fail" if known else _skip(name, text)
        )
    return TestResult(name, outcome)


def _failure(text: str) -> str:
    found = _FAILURE.search(text)
    return f"{found[1]}: {found[2]}" if found else "the runner ended without a report"


def _skip(name: str, text: str) -> str:
    reasons = [reason for test, reason in _SKIPPED.findall(text) if test in ("", name)]
    return reasons[0] if reasons else "the suite gives no reason"


def _suite(
    name: str,
    wanted: Collection[int],
    parts: Collection[str] = ("",),
    settings: tuple[str, ...] = (),
    explained: Mapping[str, str] = MappingProxyType({}),
    **extra: str,
) -> Suite:
    """``extra`` is what the environment says to the test runner.

    Several tests count on members who join at once being in one rebalance.
    """
    return Suite(
        name=name,
        source=PACKAGE,
        run=partial(run, wanted, parts, extra),
        settings=("num.partitions=4", "group.initial.rebalance.delay.ms=200", *settings),
        missing=missing,
        explained=explained,
    )


LIBRDKAFKA = (
    _suite("librdkafka", EARLY),
    _suite("librdkafka-later", LATER, explained=_LATER_EXPLAINED),
    _suite("librdkafka-consumer", CONSUMERS, TEST_CONSUMER_GROUP_PROTOCOL="consumer"),
    _suite(
        "librdkafka-created",
        _CREATED,
        settings=("auto.create.topics.enable=false",),
        TEST_SCENARIO="noautocreate",
    ),
    _suite("librdkafka-admin", (81,), parts=_ADMIN),
)
