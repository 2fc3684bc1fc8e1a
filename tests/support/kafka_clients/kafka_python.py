"""kafka-python: the protocol in Python, idempotent by default."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from tests.support.kafka_clients.contract import DEFAULTS, PATIENCE_S, Message, ProducerOptions

FIRST_POLL_MS = 5000


class KafkaPythonClient:
    name = "kafka-python"
    codecs = ("gzip", "snappy", "lz4", "zstd")

    def __init__(self, bootstrap: str) -> None:
        self.settings = {"bootstrap_servers": bootstrap}

    def produce(
        self,
        topic: str,
        messages: Sequence[Message],
        options: ProducerOptions = DEFAULTS,
    ) -> None:
        codec = None if options.codec == "none" else options.codec
        with closing(KafkaProducer(**self.settings, compression_type=codec)) as producer:
            sent = [
                producer.send(
                    topic,
                    message.value,
                    message.key,
                    list(message.headers),
                    message.partition,
                    message.timestamp_ms,
                )
                for message in messages
            ]
            for one in sent:
                one.get(PATIENCE_S)

    def consume(self, topic: str, count: int) -> list[Message]:
        with closing(KafkaConsumer(**self.settings, auto_offset_reset="earliest")) as consumer:
            indexes = consumer.partitions_for_topic(topic)
            consumer.assign([TopicPartition(topic, index) for index in indexes])
            return _read(consumer, count)

    @contextmanager
    def session(self, topic: str, group: str) -> Iterator[KafkaPythonSession]:
        consumer = KafkaConsumer(
            topic,
            **self.settings,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        with closing(consumer):
            yield KafkaPythonSession(consumer, topic)

    def close(self) -> None: ...


class KafkaPythonSession:
    def __init__(self, consumer: KafkaConsumer, topic: str) -> None:
        self._consumer = consumer
        self._topic = topic

    def read(self, count: int) -> list[Message]:
        return _read(self._consumer, count)

    def commit(self) -> None:
        self._consumer.commit()

    def seek(self, partition: int, offset: int) -> None:
        self._consumer.seek(TopicPartition(self._topic, partition), offset)

    def pause(self, partition: int) -> None:
        self._consumer.pause(TopicPartition(self._topic, partition))

    def resume(self, partition: int) -> None:
        self._consumer.resume(TopicPartition(self._topic, partition))

    def offset_for_time(self, partition: int, timestamp_ms: int) -> int | None:
        asked = TopicPartition(self._topic, partition)
        found = self._consumer.offsets_for_times({asked: timestamp_ms})[asked]
        return None if found is None else int(found.offset)


def poll(consumer: KafkaConsumer, timeout_ms: int, **options: Any) -> dict[Any, list[Any]]:
    """Polls, and longer until it has partitions.

    This client loses its assignment for good when a poll ends in the middle of the second
    rebalance, the one that follows when it learns of the topic's partitions.
    """
    patience_ms = timeout_ms if consumer.assignment() else FIRST_POLL_MS
    polled: dict[Any, list[Any]] = consumer.poll(patience_ms, **options)
    return polled


def _read(consumer: KafkaConsumer, count: int) -> list[Message]:
    found: list[Message] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(found) < count:
        assert time.monotonic() < deadline, f"only {len(found)} of {count} messages came"
        polled = poll(consumer, 1000, max_records=count - len(found))
        for records in polled.values():
            found += [
                Message(
                    record.value,
                    record.key,
                    tuple(record.headers),
                    record.timestamp,
                    record.partition,
                    record.offset,
                )
                for record in records
            ]
    return found
