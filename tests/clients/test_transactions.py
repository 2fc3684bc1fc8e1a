"""Transactions are not served: every client learns that at once, and does not try for minutes."""

from __future__ import annotations

from contextlib import closing

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import TransactionalIdAuthorizationFailed
from confluent_kafka import KafkaError, KafkaException, Producer
from kafka import KafkaProducer
from kafka.errors import TransactionalIdAuthorizationFailedError

from tests.support.broker_process import BrokerProcess
from tests.support.kafka_clients.every import OpenClients
from tests.support.kafka_clients.kafkajs import KafkajsClient


def test_confluent_kafka(broker: BrokerProcess) -> None:
    producer = Producer({"bootstrap.servers": broker.kafka, "transactional.id": "t"})
    with pytest.raises(KafkaException) as raised:
        producer.init_transactions(30)
    error = raised.value.args[0]
    assert error.fatal()
    assert error.code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED


def test_kafka_python(broker: BrokerProcess) -> None:
    producer = KafkaProducer(bootstrap_servers=broker.kafka, transactional_id="t")
    with closing(producer), pytest.raises(TransactionalIdAuthorizationFailedError):
        producer.init_transactions()


async def test_aiokafka(broker: BrokerProcess) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker.kafka, transactional_id="t")
    with pytest.raises(TransactionalIdAuthorizationFailed):
        await producer.start()
    await producer.stop()


def test_kafkajs(clients: OpenClients) -> None:
    kafkajs = clients["kafkajs"]
    assert isinstance(kafkajs, KafkajsClient)
    with pytest.raises(AssertionError, match="Failed to find group coordinator"):
        kafkajs.call("transaction", id="t")
