"""HTTP members and Kafka clients in one group: everything is delivered, and nothing twice."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.support.broker_process import BrokerProcess
from tests.support.http_member import HttpMember, committed

RECORDS, ROUNDS = 120, 200


class KafkaMember:
    """A confluent-kafka consumer that commits each record when it has it."""

    def __init__(self, kafka: str, group: str, topic: str, **settings: Any) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": kafka,
                "group.id": group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                **settings,
            }
        )
        self._consumer.subscribe([topic])

    def poll(self) -> list[int]:
        messages = self._consumer.consume(20, 0.1)
        for message in messages:
            assert message.error() is None, message.error()
        if messages:
            last = {message.partition(): message for message in messages}
            offsets = [
                TopicPartition(one.topic(), one.partition(), one.offset() + 1)
                for one in last.values()
            ]
            self._consumer.commit(offsets=offsets, asynchronous=False)
        return [int(message.value()) for message in messages]

    @property
    def partitions(self) -> set[int]:
        return {one.partition for one in self._consumer.assignment()}

    def close(self) -> None:
        self._consumer.close()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """A broker that asks for more heartbeats, so that nobody waits for the next one."""
    names = ("group.consumer.min.heartbeat.interval.ms", "group.consumer.heartbeat.interval.ms")
    flags = [part for name in names for part in ("--set", f"{name}=100")]
    process = BrokerProcess(tmp_path_factory.mktemp("broker") / "data", *flags)
    yield process
    process.end()


@pytest.fixture
def kafka_member(broker: BrokerProcess) -> Iterator[Callable[..., KafkaMember]]:
    """Makes consumers that are closed with the test."""
    members: list[KafkaMember] = []

    def make(group: str, topic: str, **settings: Any) -> KafkaMember:
        members.append(KafkaMember(broker.kafka, group, topic, **settings))
        return members[-1]

    yield make
    for member in members:
        member.close()


def fill(http: httpx.Client, topic: str, first: int) -> None:
    records = [{"value": n, "partition": n % 3} for n in range(first, first + RECORDS)]
    http.post(f"/v1/topics/{topic}/records", json={"records": records}).raise_for_status()


def values(records: list[dict[str, Any]]) -> list[int]:
    return [record["value"] for record in records]


@pytest.mark.parametrize("protocol", ["consumer"])
@pytest.mark.parametrize("first", ["http", "kafka"])
def test_shared_with_a_kafka_client(
    http: httpx.Client,
    topic: str,
    kafka_member: Callable[..., KafkaMember],
    protocol: str,
    first: str,
) -> None:
    group = f"group-{uuid.uuid4()}"
    settings = {"group.protocol": protocol}
    given: Counter[int] = Counter()
    fill(http, topic, 0)
    if first == "kafka":
        kafka = kafka_member(group, topic, **settings)
        for _ in range(ROUNDS):
            given.update(kafka.poll())
            if len(given) == RECORDS:
                break
        member = HttpMember(http, group, topic)
    else:
        member = HttpMember(http, group, topic)
        given.update(values(member.poll()))
        kafka = kafka_member(group, topic, **settings)
    for _ in range(ROUNDS):
        given.update(values(member.poll(wait_ms=50)))
        given.update(kafka.poll())
        shared = member.partitions | kafka.partitions == {0, 1, 2}
        if shared and member.partitions and kafka.partitions and not member.last["rebalancing"]:
            break
    assert not member.partitions & kafka.partitions
    fill(http, topic, RECORDS)
    for _ in range(ROUNDS):
        given.update(values(member.poll(wait_ms=50)))
        given.update(kafka.poll())
        if len(given) == 2 * RECORDS:
            break
    member.poll()
    assert member.partitions
    assert kafka.partitions
    member.leave()
    fill(http, topic, 2 * RECORDS)
    for _ in range(ROUNDS):
        given.update(kafka.poll())
        if len(given) == 3 * RECORDS:
            break
    assert given == Counter(range(3 * RECORDS))
    assert committed(http, group) == dict.fromkeys(range(3), RECORDS)
