"""HTTP members and Kafka clients in one group: everything is delivered, and nothing twice."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Protocol

import httpx
import pytest
from confluent_kafka import Consumer, TopicPartition
from kafka import KafkaConsumer

from tests.support.broker_process import BrokerProcess
from tests.support.http_member import HttpMember, committed
from tests.support.kafka_clients.kafka_python import poll

RECORDS, ROUNDS = 120, 200
HEARTBEAT_MS = 100


class KafkaMember(Protocol):
    """A consumer of a library, that commits what it was given before it asks for more."""

    def poll(self) -> list[int]: ...

    @property
    def partitions(self) -> set[int]: ...

    def close(self) -> None: ...


class ConfluentMember:
    def __init__(self, kafka: str, group: str, topic: str, protocol: str = "classic") -> None:
        heartbeat = {"heartbeat.interval.ms": HEARTBEAT_MS} if protocol == "classic" else {}
        self._consumer = Consumer(
            {
                "bootstrap.servers": kafka,
                "group.id": group,
                "group.protocol": protocol,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                **heartbeat,
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


class KafkaPythonMember:
    def __init__(self, kafka: str, group: str, topic: str) -> None:
        self._consumer = KafkaConsumer(
            topic,
            bootstrap_servers=kafka,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            heartbeat_interval_ms=HEARTBEAT_MS,
        )

    def poll(self) -> list[int]:
        found = poll(self._consumer, 100, max_records=20)
        if found:
            self._consumer.commit()
        return [int(record.value) for records in found.values() for record in records]

    @property
    def partitions(self) -> set[int]:
        return {one.partition for one in self._consumer.assignment()}

    def close(self) -> None:
        self._consumer.close()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """A broker that asks for more heartbeats, so that nobody waits for the next one."""
    names = ("group.consumer.min.heartbeat.interval.ms", "group.consumer.heartbeat.interval.ms")
    flags = [part for name in names for part in ("--set", f"{name}={HEARTBEAT_MS}")]
    process = BrokerProcess(tmp_path_factory.mktemp("broker") / "data", *flags)
    yield process
    process.end()


@pytest.fixture
def opened() -> Iterator[list[KafkaMember]]:
    """Consumers of the test, to be closed with it."""
    members: list[KafkaMember] = []
    yield members
    for member in members:
        member.close()


def fill(http: httpx.Client, topic: str, first: int) -> None:
    records = [{"value": n, "partition": n % 3} for n in range(first, first + RECORDS)]
    http.post(f"/v1/topics/{topic}/records", json={"records": records}).raise_for_status()


class Group:
    """All members of a group and what they were given."""

    def __init__(self, http: httpx.Client, topic: str) -> None:
        self.name = f"group-{uuid.uuid4()}"
        self.given: Counter[int] = Counter()
        self.kafka: list[KafkaMember] = []
        self.http: list[HttpMember] = []
        self._http = http
        self._topic = topic

    def join_http(self) -> HttpMember:
        self.http.append(HttpMember(self._http, self.name, self._topic))
        return self.http[-1]

    def poll_until(self, done: Callable[[], bool]) -> None:
        """Everybody polls in turn until it is so."""
        for _ in range(ROUNDS):
            for member in self.http:
                self.given.update(record["value"] for record in member.poll(wait_ms=50))
            for consumer in self.kafka:
                self.given.update(consumer.poll())
            if done():
                return
        raise AssertionError(f"not in {ROUNDS} rounds: {len(self.given)} records, {self.owned}")

    @property
    def owned(self) -> list[set[int]]:
        return [one.partitions for one in (*self.http, *self.kafka)]

    def is_shared(self) -> bool:
        """Each member has a partition, each partition one member."""
        return all(self.owned) and sorted(n for part in self.owned for n in part) == [0, 1, 2]

    def has(self, count: int) -> Callable[[], bool]:
        return lambda: len(self.given) >= count


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
@pytest.mark.parametrize("first", ["http", "kafka"])
def test_shared_with_a_kafka_client(
    http: httpx.Client,
    broker: BrokerProcess,
    topic: str,
    opened: list[KafkaMember],
    protocol: str,
    first: str,
) -> None:
    group = Group(http, topic)
    group.kafka = opened

    def join_kafka() -> None:
        opened.append(ConfluentMember(broker.kafka, group.name, topic, protocol))

    joins = [group.join_http, join_kafka]
    fill(http, topic, 0)
    for join in joins if first == "http" else reversed(joins):
        join()
        group.poll_until(group.has(RECORDS))
    group.poll_until(group.is_shared)
    fill(http, topic, RECORDS)
    group.poll_until(group.has(2 * RECORDS))
    member = group.http.pop()
    member.post("commit", cursor=member.cursor).raise_for_status()
    member.leave()
    fill(http, topic, 2 * RECORDS)
    group.poll_until(group.has(3 * RECORDS))
    assert group.given == Counter(range(3 * RECORDS))
    assert committed(http, group.name) == dict.fromkeys(range(3), RECORDS)


def test_three_kinds_of_members(
    http: httpx.Client, broker: BrokerProcess, topic: str, opened: list[KafkaMember]
) -> None:
    group = Group(http, topic)
    group.kafka = opened
    opened.append(ConfluentMember(broker.kafka, group.name, topic))
    opened.append(KafkaPythonMember(broker.kafka, group.name, topic))
    fill(http, topic, 0)
    group.poll_until(group.has(RECORDS))
    group.join_http()
    group.poll_until(group.is_shared)
    fill(http, topic, RECORDS)
    group.poll_until(group.has(2 * RECORDS))
    opened.pop(0).close()
    fill(http, topic, 2 * RECORDS)
    group.poll_until(group.has(3 * RECORDS))
    assert group.given == Counter(range(3 * RECORDS))
