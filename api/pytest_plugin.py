"""Pytest fixtures with a real broker, there as soon as Tidelog is installed.

``tidelog_broker``
    A broker of the test session, started when the first test asks for it: a process of its own
    on free ports, with its data under pytest's temporary directory. Under pytest-xdist each
    worker has its own. ``tidelog_broker.kafka`` is its bootstrap server, ``.http`` its URL,
    ``.data_dir`` its directory, ``.pid`` its process; ``.create_topic(name, partitions)`` makes a
    topic. See ``tidelog.api.testing.TidelogBroker``.

``tidelog_topic``
    The name of a new topic with one partition, for one test.

``tidelog_settings``
    Settings of the broker by their Kafka names: none, until a ``conftest.py`` says otherwise.

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
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tidelog.api.testing import TidelogBroker

_TOPIC_NAME_MAX = 200
_numbers = itertools.count()


@pytest.fixture(scope="session")
def tidelog_settings() -> Mapping[str, object]:
    """Settings of ``tidelog_broker``; override it in a ``conftest.py``."""
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
def tidelog_topic(tidelog_broker: TidelogBroker, request: pytest.FixtureRequest) -> str:
    """The name of a new topic with one partition; it tells the test's name."""
    name = re.sub(r"[^a-zA-Z0-9._-]+", "-", request.node.name)[:_TOPIC_NAME_MAX]
    return tidelog_broker.create_topic(f"{name}-{next(_numbers)}")
