"""Clients of the shared broker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.apache_kafka import ApacheKafkaBroker
from tests.support.both_brokers import BothBrokers
from tests.support.broker_process import BrokerProcess
from tests.support.kafka_clients.contract import KafkaClient
from tests.support.kafka_clients.every import OpenClients


@pytest.fixture(scope="session")
def clients(broker: BrokerProcess) -> Iterator[OpenClients]:
    """All clients, by name."""
    opened = OpenClients(broker.kafka)
    yield opened
    opened.close()


@pytest.fixture
def client(clients: OpenClients, request: pytest.FixtureRequest) -> KafkaClient:
    """The client that a test is run with."""
    return clients[request.param]


@pytest.fixture(scope="session")
def both(broker: BrokerProcess, apache_kafka_broker: ApacheKafkaBroker) -> Iterator[BothBrokers]:
    """Asks the shared broker and Apache Kafka the same things."""
    brokers = BothBrokers(broker.kafka, apache_kafka_broker.address)
    yield brokers
    brokers.close()
