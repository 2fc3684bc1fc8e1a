"""Brokers for tests: one shared by a worker's tests, or a fresh one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import hypothesis
import pytest

from tests.support.apache_kafka import ApacheKafka, ApacheKafkaBroker, find_apache_kafka
from tests.support.broker_process import BrokerProcess

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")

_numbers = itertools.count()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """One broker for all tests that do not stop or break it.

    Retention runs when a test asks for it, not when five minutes are over: many tests write
    records of long ago.
    """
    never = "log.retention.check.interval.ms=86400000"
    process = BrokerProcess(tmp_path_factory.mktemp("broker") / "data", "--set", never)
    yield process
    process.end()


@pytest.fixture
def http(broker: BrokerProcess) -> Iterator[httpx.Client]:
    """A client of the shared broker."""
    with broker.client() as client:
        yield client


@pytest.fixture
def start_broker(tmp_path: Path) -> Iterator[Callable[..., BrokerProcess]]:
    """Starts brokers of the test's own; they end with it."""
    started: list[BrokerProcess] = []

    def start(*flags: str, data_dir: Path | None = None) -> BrokerProcess:
        process = BrokerProcess(data_dir or tmp_path / f"data-{len(started)}", *flags)
        started.append(process)
        return process

    yield start
    for process in started:
        process.end()


@pytest.fixture
def topic(http: httpx.Client) -> str:
    """A new topic with three partitions on the shared broker."""
    name = f"topic-{next(_numbers)}"
    http.post("/v1/topics", json={"name": name, "partitions": 3}).raise_for_status()
    return name


@pytest.fixture
def single(http: httpx.Client) -> str:
    """A new topic with one partition on the shared broker."""
    name = f"single-{next(_numbers)}"
    http.post("/v1/topics", json={"name": name, "partitions": 1}).raise_for_status()
    return name


@pytest.fixture(scope="session")
def apache_kafka() -> ApacheKafka:
    """Apache Kafka's programs; skips where they cannot be had."""
    return find_apache_kafka()


@pytest.fixture(scope="session")
def apache_kafka_broker(
    apache_kafka: ApacheKafka, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApacheKafkaBroker]:
    """One broker of Apache Kafka for all tests that do not stop or break it.

    Mark their module with ``pytest.mark.xdist_group("apache_kafka_broker")``: one worker, one
    broker. Its retention never runs, as that of ours.
    """
    never = "log.initial.task.delay.ms=86400000"
    broker = apache_kafka.broker(tmp_path_factory.mktemp("apache-kafka"), never)
    yield broker
    broker.stop()
