"""A program: one member of a group, in one client library, that says what happens to it.

    python -m tests.support.group_member '{"library": "confluent", "group": "g", "topic": "t",
                                           "bootstrap": "127.0.0.1:9092"}'

``MemberOptions`` has all options. Each line on stdout is a JSON object: ``{"owned": [partitions]}``
whenever that changes, ``{"records": [[partition, offset, value], ...]}`` for what it was delivered,
``{"committed": [[partition, offset], ...]}`` once the broker has the commit of that, or
``{"commit_failed": why}``: then it tries again with what comes next, as long as it owns the
partition. It commits what it has told before it asks for more and before it gives partitions up, so
a record comes twice only where a member dies or stalls in between. It leaves when stdin ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

POLL_S = 0.1
BATCH = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberOptions:
    library: str
    """confluent, kafka-python, aiokafka; kafkajs has a program of its own."""
    bootstrap: str
    topic: str
    group: str
    protocol: str = "classic"
    """classic, or consumer: the new one (confluent only)."""
    strategy: str = "range"
    """range or cooperative-sticky (confluent only)."""
    instance_id: str | None = None
    session_timeout_ms: int = 3_000
    heartbeat_interval_ms: int = 300
    rebalance_timeout_ms: int = 10_000


class Voice:
    """Stdout, and what was said there and is still to be committed."""

    def __init__(self) -> None:
        self.uncommitted: dict[int, int] = {}
        """By partition, the offset after the last record told."""
        self._owned: list[int] | None = None

    def owns(self, partitions: Iterable[int]) -> None:
        """What others own is theirs to commit: it comes again, to them."""
        owned = sorted(partitions)
        for partition in self.uncommitted.keys() - set(owned):
            del self.uncommitted[partition]
        if owned != self._owned:
            self._owned = owned
            self._say({"owned": owned})

    def delivered(self, records: list[tuple[int, int, str]]) -> None:
        if records:
            self._say({"records": records})
            self.uncommitted |= {partition: offset + 1 for partition, offset, _ in records}

    def committed(self) -> None:
        """The broker has answered: all that was told is committed."""
        self._say({"committed": list(self.uncommitted.items())})
        self.uncommitted.clear()

    def failed(self, error: Exception) -> None:
        """A commit was refused."""
        self._say({"commit_failed": repr(error)})

    def _say(self, what: dict[str, Any]) -> None:
        print(json.dumps(what), flush=True)


def is_told_to_leave() -> bool:
    readable, _, _ = select.select([sys.stdin], [], [], 0)
    return bool(readable)


def run_confluent(options: MemberOptions, voice: Voice) -> None:
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    config: dict[str, Any] = {
        "bootstrap.servers": options.bootstrap,
        "group.id": options.group,
        "group.protocol": options.protocol,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "max.poll.interval.ms": options.rebalance_timeout_ms,
        # Bounded by the poll interval; only classic members choose it.
        "fetch.wait.max.ms": 100,
    }
    if options.protocol == "classic":
        config |= {
            "partition.assignment.strategy": options.strategy,
            "session.timeout.ms": options.session_timeout_ms,
            "heartbeat.interval.ms": options.heartbeat_interval_ms,
        }
    if options.instance_id is not None:
        config["group.instance.id"] = options.instance_id
    consumer = Consumer(config)

    def owned() -> set[int]:
        return {place.partition for place in consumer.assignment()}

    def revoked(_: Consumer, places: list[TopicPartition]) -> None:
        voice.owns(owned() - {place.partition for place in places})

    consumer.subscribe([options.topic], on_revoke=revoked, on_lost=revoked)
    while not is_told_to_leave():
        messages = consumer.consume(BATCH, POLL_S)
        voice.owns(owned())
        good = [message for message in messages if message.error() is None]
        voice.delivered([(m.partition(), m.offset(), m.value().decode()) for m in good])
        if voice.uncommitted:
            told = [TopicPartition(options.topic, *place) for place in voice.uncommitted.items()]
            try:
                for place in consumer.commit(offsets=told, asynchronous=False):
                    if place.error is not None:
                        raise KafkaException(place.error)
                voice.committed()
            except KafkaException as error:
                voice.failed(error)
    consumer.close()


def run_kafka_python(options: MemberOptions, voice: Voice) -> None:
    from kafka import ConsumerRebalanceListener, KafkaConsumer
    from kafka.coordinator.assignors.range import RangePartitionAssignor
    from kafka.errors import KafkaError

    from tests.support.kafka_clients.kafka_python import poll

    consumer = KafkaConsumer(
        bootstrap_servers=options.bootstrap,
        group_id=options.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=options.session_timeout_ms,
        heartbeat_interval_ms=options.heartbeat_interval_ms,
        max_poll_interval_ms=options.rebalance_timeout_ms,
        max_poll_records=BATCH,
        fetch_max_wait_ms=100,
        group_instance_id=options.instance_id,
        partition_assignment_strategy=(RangePartitionAssignor,),
    )

    class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
        def on_partitions_revoked(self, revoked: Any) -> None:
            voice.owns(())

        def on_partitions_assigned(self, assigned: Any) -> None:
            voice.owns(place.partition for place in assigned)

    consumer.subscribe([options.topic], listener=Listener())
    while not is_told_to_leave():
        batches = poll(consumer, int(POLL_S * 1000))
        voice.owns(place.partition for place in consumer.assignment())
        records = [record for batch in batches.values() for record in batch]
        voice.delivered([(r.partition, r.offset, r.value.decode()) for r in records])
        if voice.uncommitted:
            try:
                consumer.commit()
                voice.committed()
            except KafkaError as error:
                voice.failed(error)
    consumer.close()


async def run_aiokafka(options: MemberOptions, voice: Voice) -> None:
    from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
    from aiokafka.coordinator.assignors.range import RangePartitionAssignor
    from aiokafka.errors import KafkaError

    consumer = AIOKafkaConsumer(
        bootstrap_servers=options.bootstrap,
        group_id=options.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=options.session_timeout_ms,
        heartbeat_interval_ms=options.heartbeat_interval_ms,
        max_poll_interval_ms=options.rebalance_timeout_ms,
        rebalance_timeout_ms=options.rebalance_timeout_ms,
        max_poll_records=BATCH,
        fetch_max_wait_ms=100,
        group_instance_id=options.instance_id,
        partition_assignment_strategy=(RangePartitionAssignor,),
    )
    working = asyncio.Lock()

    class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
        async def on_partitions_revoked(self, revoked: Any) -> None:
            async with working:
                voice.owns(())

        async def on_partitions_assigned(self, assigned: Any) -> None:
            voice.owns(place.partition for place in assigned)

    consumer.subscribe([options.topic], listener=Listener())
    await consumer.start()
    while not is_told_to_leave():
        # Without the lock: once a rebalance has begun this waits for its end, and that for the
        # lock. What it returns nobody can revoke before the lock is taken: both are one step.
        batches = await consumer.getmany(timeout_ms=int(POLL_S * 1000))
        records = [record for batch in batches.values() for record in batch]
        async with working:
            voice.delivered([(r.partition, r.offset, r.value.decode()) for r in records])
            if voice.uncommitted:
                try:
                    await consumer.commit()
                    voice.committed()
                except KafkaError as error:
                    voice.failed(error)
        await asyncio.sleep(0)
    await consumer.stop()


def main() -> None:
    options, voice = MemberOptions(**json.loads(sys.argv[1])), Voice()
    if options.library == "confluent":
        run_confluent(options, voice)
    elif options.library == "kafka-python":
        run_kafka_python(options, voice)
    elif options.library == "aiokafka":
        asyncio.run(run_aiokafka(options, voice))
    else:
        sys.exit(f"no library {options.library!r}")
    voice.owns(())
    # Client threads that linger are of no interest any more.
    os._exit(0)


if __name__ == "__main__":
    main()
