"""What clients meet that ask for a topic that is not there, with auto-creation and without."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from confluent_kafka import KafkaError, Producer
from kafka import KafkaConsumer

from tests.support.broker_process import BrokerProcess
from tests.support.kafka_clients.contract import KafkaClient, Message
from tests.support.kafka_clients.every import CLIENTS, OpenClients
from tests.support.kafka_clients.kcat import KcatClient


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """A broker that creates no topics by itself."""
    data_dir = tmp_path_factory.mktemp("strict") / "data"
    process = BrokerProcess(data_dir, "--set", "auto.create.topics.enable=false")
    yield process
    process.end()


@pytest.mark.parametrize("client", CLIENTS, indirect=True)
def test_producing_creates_a_topic(client: KafkaClient, http: httpx.Client, topic: str) -> None:
    name = f"{topic}-created"
    client.produce(name, [Message(b"value", b"key")])
    shown = http.get(f"/v1/topics/{name}").raise_for_status().json()
    assert [one["end_offset"] for one in shown["partitions"]] == [1]


def test_looking_at_a_topic_does_not_create_it(
    broker: BrokerProcess, clients: OpenClients, http: httpx.Client, topic: str
) -> None:
    name = f"{topic}-looked-at"
    consumer = KafkaConsumer(bootstrap_servers=broker.kafka, allow_auto_create_topics=False)
    assert not consumer.partitions_for_topic(name)
    consumer.close()
    assert http.get(f"/v1/topics/{name}").status_code == 404


def test_without_auto_creation_a_producer_is_told(strict: BrokerProcess) -> None:
    errors: list[KafkaError | None] = []
    # By default it goes on asking for half a minute: topics take time to spread in a cluster.
    at_once = {"topic.metadata.propagation.max.ms": 0}
    producer = Producer({"bootstrap.servers": strict.kafka, **at_once})
    producer.produce("missing", b"value", on_delivery=lambda error, _: errors.append(error))
    producer.flush(60)
    assert errors == [KafkaError.UNKNOWN_TOPIC_OR_PART]
    with strict.client() as http:
        assert http.get("/v1/topics/missing").status_code == 404


def test_without_auto_creation_kcat_shows_the_error(strict: BrokerProcess) -> None:
    kcat = OpenClients(strict.kafka)["kcat"]
    assert isinstance(kcat, KcatClient)
    assert b'"missing" with 0 partitions: Broker: Unknown topic' in kcat.run("-L", "-t", "missing")
