"""confluent-kafka: librdkafka from Python."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition

from tests.support.kafka_clients.contract import DEFAULTS, PATIENCE_S, Message, ProducerOptions


class ConfluentClient:
    name = "confluent-kafka"
    codecs = ("gzip", "snappy", "lz4", "zstd")

    def __init__(self, bootstrap: str) -> None:
        self.settings = {"bootstrap.servers": bootstrap}

    def produce(
        self,
        topic: str,
        messages: Sequence[Message],
        options: ProducerOptions = DEFAULTS,
    ) -> None:
        refused: list[KafkaError] = []

        def heard(error: KafkaError | None, _: object) -> None:
            if error is not None:
                refused.append(error)

        producer = Producer({**self.settings, **_options(options)})
        for message in messages:
            fields: dict[str, Any] = {"key": message.key, "headers": list(message.headers)}
            if message.timestamp_ms is not None:
                fields["timestamp"] = message.timestamp_ms
            if message.partition is not None:
                fields["partition"] = message.partition
            producer.produce(topic, message.value, on_delivery=heard, **fields)
            producer.poll(0)
        left = producer.flush(PATIENCE_S)
        assert not left, f"{left} messages were not acknowledged"
        assert not refused, refused

    def consume(self, topic: str, count: int) -> list[Message]:
        consumer = Consumer({**self.settings, "group.id": "unused", "enable.auto.commit": False})
        try:
            partitions = consumer.list_topics(topic, PATIENCE_S).topics[topic].partitions
            consumer.assign(
                [TopicPartition(topic, index, OFFSET_BEGINNING) for index in partitions]
            )
            return _read(consumer, count)
        finally:
            consumer.close()

    @contextmanager
    def session(self, topic: str, group: str) -> Iterator[ConfluentSession]:
        consumer = Consumer(
            {
                **self.settings,
                "group.id": group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
            }
        )
        consumer.subscribe([topic])
        try:
            yield ConfluentSession(consumer, topic)
        finally:
            consumer.close()

    def close(self) -> None: ...


class ConfluentSession:
    def __init__(self, consumer: Consumer, topic: str) -> None:
        self._consumer = consumer
        self._topic = topic

    def read(self, count: int) -> list[Message]:
        return _read(self._consumer, count)

    def commit(self) -> None:
        self._consumer.commit(asynchronous=False)

    def seek(self, partition: int, offset: int) -> None:
        self._consumer.seek(TopicPartition(self._topic, partition, offset))

    def pause(self, partition: int) -> None:
        self._consumer.pause([TopicPartition(self._topic, partition)])

    def resume(self, partition: int) -> None:
        self._consumer.resume([TopicPartition(self._topic, partition)])

    def offset_for_time(self, partition: int, timestamp_ms: int) -> int | None:
        asked = TopicPartition(self._topic, partition, timestamp_ms)
        (found,) = self._consumer.offsets_for_times([asked], PATIENCE_S)
        assert found.error is None, found.error
        return found.offset if found.offset >= 0 else None


def _options(options: ProducerOptions) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    if options.codec != "none":
        chosen["compression.type"] = options.codec
    if options.idempotent:
        chosen["enable.idempotence"] = True
    if options.java_partitioner:
        chosen["partitioner"] = "murmur2_random"
    return chosen


def _read(consumer: Consumer, count: int) -> list[Message]:
    found: list[Message] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(found) < count:
        message = consumer.poll(1)
        assert time.monotonic() < deadline, f"only {len(found)} of {count} messages came"
        if message is None:
            continue
        assert message.error() is None, message.error()
        found.append(
            Message(
                message.value(),
                message.key(),
                tuple(message.headers() or ()),  # type: ignore[arg-type]
                message.timestamp()[1],
                message.partition(),
                message.offset(),
            )
        )
    return found
