"""What a producer learns about each record of a batch that is refused."""

from __future__ import annotations

import httpx
from confluent_kafka import KafkaError, Message, Producer

from tests.support.broker_process import BrokerProcess


def test_records_without_keys_are_named_on_compacted_topics(
    broker: BrokerProcess, http: httpx.Client
) -> None:
    settings = {"cleanup.policy": "compact"}
    body = {"name": "compacted-kafka", "partitions": 1, "settings": settings}
    http.post("/v1/topics", json=body).raise_for_status()
    outcomes: dict[bytes | None, int] = {}

    def report(error: KafkaError | None, message: Message) -> None:
        outcomes[message.value()] = 0 if error is None else error.code()

    producer = Producer({"bootstrap.servers": broker.kafka, "linger.ms": 200})
    for number in range(20):
        key = None if number % 5 == 2 else b"k"
        producer.produce("compacted-kafka", b"%d" % number, key, on_delivery=report)
    assert producer.flush(30) == 0
    assert outcomes == {
        b"%d" % number: KafkaError.INVALID_RECORD
        if number % 5 == 2
        else KafkaError._INVALID_DIFFERENT_RECORD
        for number in range(20)
    }
    (partition,) = http.get("/v1/topics/compacted-kafka").json()["partitions"]
    assert partition["end_offset"] == 0
