"""Pytest fixtures with a real broker, there as soon as Tidelog is installed.

``tidelog_broker``
    A broker of the test session, started when the first test asks for it: a process of its own
    on free ports, with its data under pytest's temporary directory. Under pytest-xdist each
    worker has its own. ``tidelog_broker.kafka`` is its bootstrap server, ``.http`` its URL,
    ``.data_dir`` its directory, ``.pid`` its process; ``.create_topic(name, partitions)`` makes a
    topic. See ``tidelog.testing.TidelogBroker``.

``tidelog_own_broker``
    A broker for one test, which may ``kill()``, ``restart()`` or ``pause()`` it and move its
    ``clock``.

``tidelog_topic``
    The name of a new topic with one partition, for one test.

``tidelog_settings``
    Settings of the brokers by their Kafka names: none, until a ``conftest.py`` says otherwise.

The report of a test that fails has what the brokers logged while it ran: those of the fixtures and
every other ``TidelogBroker`` that was started in the test's process.

A test module::

    from kafka import KafkaConsumer, KafkaProducer


    def test_round_trip(tidelog_broker, tidelog_topic):
        with KafkaProducer(bootstrap_servers=tidelog_broker.kafka) as producer:
            producer.send(tidelog_topic, b"hello")
        consumer = KafkaConsumer(
            tidelog_topic, bootstrap_servers=tidelog_broker.kafka, auto_offset_reset="earliest"
        )
        assert next(consumer).value == b"hello"
        consumer.close()
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tidelog.api.testing import TidelogBroker

_TOPIC_NAME_MAX = 200
_KIT = "tidelog.api.testing.broker"
_numbers = itertools.count()
_logged_before = pytest.StashKey[dict["TidelogBroker", int]]()


@pytest.fixture(scope="session")
def tidelog_settings() -> Mapping[str, object]:
    """Settings of the brokers; override it in a ``conftest.py``."""
    return {}


@pytest.fixture(scope="session")
def tidelog_broker(
    tmp_path_factory: pytest.TempPathFactory, tidelog_settings: Mapping[str, object]
) -> Iterator[TidelogBroker]:
    """A real broker, shared by the tests of this session."""
    from tidelog.api.testing import TidelogBroker

    with TidelogBroker(tmp_path_factory.mktemp("tidelog"), tidelog_settings) as broker:
        yield broker


@pytest.fixture
def tidelog_own_broker(
    tmp_path: Path, tidelog_settings: Mapping[str, object]
) -> Iterator[TidelogBroker]:
    """A real broker for one test, which may treat it as it likes."""
    from tidelog.api.testing import TidelogBroker

    with TidelogBroker(tmp_path / "tidelog", tidelog_settings) as broker:
        yield broker


@pytest.fixture
def tidelog_topic(tidelog_broker: TidelogBroker, request: pytest.FixtureRequest) -> str:
    """The name of a new topic with one partition; it tells the test's name."""
    name = re.sub(r"[^a-zA-Z0-9._-]+", "-", request.node.name)[:_TOPIC_NAME_MAX]
    return tidelog_broker.create_topic(f"{name}-{next(_numbers)}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Remember what was logged before this test."""
    item.stash[_logged_before] = {broker: broker.log_bytes for broker in _started_brokers()}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Add the brokers' logs to the report of what failed."""
    report: pytest.TestReport = (yield).get_result()
    if report.failed:
        before = item.stash.get(_logged_before, {})
        for broker in _started_brokers():
            if log := broker.log_since(before.get(broker, 0)):
                report.sections.append((f"Log of {broker!r}", log))


def _started_brokers() -> list[TidelogBroker]:
    """None where nobody has even imported the kit."""
    kit = sys.modules.get(_KIT)
    return [] if kit is None else kit.started_brokers()
