"""Transactions are not served: every client learns that at once, and does not try for minutes."""

from __future__ import annotations

from collections.abc import Callable
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
from tests.support.kafka_wire import Wire
from tidelog.api.refusals import TOLD_IN_FULL


def test_confluent_kafka(broker: BrokerProcess) -> None:
    producer = Producer({"bootstrap.servers": broker.kafka, "transactional.id": "t"})
    with pytest.raises(KafkaException) as raised:
        producer.init_transactions(30)
    error = raised.value.args[0]
    assert error.fatal()
    assert error.code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    assert error.str().endswith("this broker does not serve transactions yet")


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


def test_the_log_says_who_was_refused_and_why(start_broker: Callable[..., BrokerProcess]) -> None:
    broker = start_broker()
    wire = Wire(broker.kafka)
    by_name = {"transaction_timeout_ms": 1000, "producer_id": -1, "producer_epoch": -1}
    for number in range(3):
        wire.ask("find_coordinator", 4, key_type=1, coordinator_keys=[f"first\n-{number}"])
        wire.ask("init_producer_id", 4, transactional_id=f"then-{number}", **by_name)
    wire.ask("find_coordinator", 4, key_type=1, coordinator_keys=["late"] * 100)
    wire.close()
    broker.stop()
    lines = [line for line in broker.stderr.splitlines() if "transactions yet" in line]
    assert len(lines) == TOLD_IN_FULL + 1
    assert "client id 'wire', transactional id 'first\\n-0'" in lines[0]
    assert "client id 'wire', transactional id 'then-0'" in lines[1]
    assert f"{106 - TOLD_IN_FULL} more requests like this were refused" in lines[-1]
