"""aiokafka: the protocol on asyncio; its loop runs in a thread, as the tests are not coroutines."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.support.kafka_clients.contract import DEFAULTS, PATIENCE_S, Message, ProducerOptions

T = TypeVar("T")


class AiokafkaClient:
    name = "aiokafka"
    codecs = ("gzip", "snappy", "lz4", "zstd")

    def __init__(self, bootstrap: str) -> None:
        self.settings = {"bootstrap_servers": bootstrap}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do ``work`` in the loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(2 * PATIENCE_S)

    def produce(
        self,
        topic: str,
        messages: Sequence[Message],
        options: ProducerOptions = DEFAULTS,
    ) -> None:
        self.run(self._produce(topic, messages, options))

    async def _produce(
        self, topic: str, messages: Sequence[Message], options: ProducerOptions
    ) -> None:
        codec = None if options.codec == "none" else options.codec
        async with AIOKafkaProducer(
            **self.settings, compression_type=codec, enable_idempotence=options.idempotent
        ) as producer:
            sent = [
                await producer.send(
                    topic,
                    message.value,
                    message.key,
                    message.partition,
                    message.timestamp_ms,
                    list(message.headers),
                )
                for message in messages
            ]
            await asyncio.wait_for(asyncio.gather(*sent), PATIENCE_S)

    def consume(self, topic: str, count: int) -> list[Message]:
        return self.run(self._consume(topic, count))

    async def _consume(self, topic: str, count: int) -> list[Message]:
        async with AIOKafkaConsumer(
            topic, **self.settings, auto_offset_reset="earliest"
        ) as consumer:
            return await _read(consumer, count)

    @contextmanager
    def session(self, topic: str, group: str) -> Iterator[AiokafkaSession]:
        async def start() -> AIOKafkaConsumer:
            consumer = AIOKafkaConsumer(
                topic,
                **self.settings,
                group_id=group,
                auto_offset_reset="earliest",
                enable_auto_commit=False,
            )
            await consumer.start()
            return consumer

        consumer = self.run(start())
        try:
            yield AiokafkaSession(self, consumer, topic)
        finally:
            self.run(consumer.stop())

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class AiokafkaSession:
    def __init__(self, client: AiokafkaClient, consumer: AIOKafkaConsumer, topic: str) -> None:
        self._client = client
        self._consumer = consumer
        self._topic = topic

    def read(self, count: int) -> list[Message]:
        return self._client.run(_read(self._consumer, count))

    def commit(self) -> None:
        self._client.run(self._consumer.commit())

    def seek(self, partition: int, offset: int) -> None:
        self._tell(self._consumer.seek, partition, offset)

    def pause(self, partition: int) -> None:
        self._tell(self._consumer.pause, partition)

    def resume(self, partition: int) -> None:
        self._tell(self._consumer.resume, partition)

    def _tell(self, what: Callable[..., None], partition: int, *more: int) -> None:
        """Call a plain function of the consumer's in its loop."""

        async def call() -> None:
            what(TopicPartition(self._topic, partition), *more)

        self._client.run(call())

    def offset_for_time(self, partition: int, timestamp_ms: int) -> int | None:
        asked = TopicPartition(self._topic, partition)
        found = self._client.run(self._consumer.offsets_for_times({asked: timestamp_ms}))[asked]
        return None if found is None else int(found.offset)


async def _read(consumer: AIOKafkaConsumer, count: int) -> list[Message]:
    found: list[Message] = []
    while len(found) < count:
        try:
            record = await asyncio.wait_for(consumer.getone(), PATIENCE_S)
        except TimeoutError:
            raise AssertionError(f"only {len(found)} of {count} messages came") from None
        found.append(
            Message(
                record.value,
                record.key,
                tuple(record.headers),
                record.timestamp,
                record.partition,
                record.offset,
            )
        )
    return found
