"""Reading as a member of a group: commit and resume, seek, pause, offsets by time.

kafka-python 3.0 is not asked to pause: it may never hand out what it had fetched of a partition
before that was paused, whichever broker it talks to.
"""

from __future__ import annotations

import itertools
from typing import Any

import httpx
import pytest
from confluent_kafka import Consumer

from tests.support.broker_process import BrokerProcess
from tests.support.kafka_clients.contract import KafkaClient, Message
from tests.support.kafka_clients.every import WITH_SESSIONS, OpenClients
from tests.support.kafka_clients.kcat import KcatClient

NOW = 1_750_000_000_000
with_sessions = pytest.mark.parametrize("client", WITH_SESSIONS, indirect=True)


@pytest.fixture
def filled(http: httpx.Client, topic: str) -> str:
    """A topic of three partitions with ten records each, a second apart; values tell offsets."""
    records = [
        {"value": offset, "partition": partition, "timestamp": NOW + 1000 * offset}
        for partition in range(3)
        for offset in range(10)
    ]
    http.post(f"/v1/topics/{topic}/records", json={"records": records}).raise_for_status()
    return topic


def places(messages: list[Message]) -> list[tuple[Any, Any]]:
    return [(message.partition, message.offset) for message in messages]


EVERYTHING = {(partition, offset) for partition in range(3) for offset in range(10)}


@with_sessions
def test_a_group_goes_on_where_it_committed(client: KafkaClient, filled: str) -> None:
    with client.session(filled, f"{filled}-group") as session:
        committed = places(session.read(12))
        session.commit()
        # Read but not committed: these come again.
        session.read(5)
    with client.session(filled, f"{filled}-group") as session:
        rest = places(session.read(18))
    assert sorted(committed + rest) == sorted(EVERYTHING)


@pytest.mark.parametrize(
    ("client", "other"), [*itertools.permutations(WITH_SESSIONS, 2)], indirect=["client"]
)
def test_what_one_client_commits_another_goes_on_from(
    client: KafkaClient, other: str, clients: OpenClients, filled: str
) -> None:
    with client.session(filled, f"{filled}-group") as session:
        seen = places(session.read(7))
        session.commit()
    with clients[other].session(filled, f"{filled}-group") as session:
        seen += places(session.read(23))
    assert sorted(seen) == sorted(EVERYTHING)


@with_sessions
def test_seek(client: KafkaClient, filled: str) -> None:
    with client.session(filled, f"{filled}-group") as session:
        session.read(30)
        session.seek(1, 5)
        assert places(session.read(5)) == [(1, offset) for offset in range(5, 10)]
        session.seek(2, 0)
        assert places(session.read(10)) == [(2, offset) for offset in range(10)]


@pytest.mark.parametrize(
    "client", [name for name in WITH_SESSIONS if name != "kafka-python"], indirect=True
)
def test_pause_and_resume(client: KafkaClient, http: httpx.Client, filled: str) -> None:
    with client.session(filled, f"{filled}-group") as session:
        session.read(30)
        session.pause(1)
        records = [{"value": 10, "partition": partition} for partition in range(3)]
        http.post(f"/v1/topics/{filled}/records", json={"records": records}).raise_for_status()
        assert sorted(places(session.read(2))) == [(0, 10), (2, 10)]
        session.resume(1)
        assert places(session.read(1)) == [(1, 10)]


@with_sessions
def test_offsets_for_times(client: KafkaClient, filled: str) -> None:
    with client.session(filled, f"{filled}-group") as session:
        session.read(30)
        assert session.offset_for_time(0, NOW - 1) == 0
        assert session.offset_for_time(1, NOW + 3000) == 3
        assert session.offset_for_time(2, NOW + 3001) == 4
        late = session.offset_for_time(2, NOW + 9001)
        assert late == (10 if client.name == "kafkajs" else None)  # it answers with the end


def test_kcat_as_a_member(clients: OpenClients, filled: str) -> None:
    kcat = clients["kcat"]
    assert isinstance(kcat, KcatClient)
    seen = kcat.consume_as_member(filled, f"{filled}-group", 11)
    seen += kcat.consume_as_member(filled, f"{filled}-group", 19)
    assert sorted(places(seen)) == sorted(EVERYTHING)


def test_lag_where_a_client_commits_nothing(
    broker: BrokerProcess, http: httpx.Client, topic: str
) -> None:
    """librdkafka commits no position of a partition that brought nothing: two of three here."""
    group = f"{topic}-group"

    def produce(partition: int) -> None:
        body = {"records": [{"value": 1, "partition": partition}]}
        http.post(f"/v1/topics/{topic}/records", json=body).raise_for_status()

    produce(0)
    settings = {"bootstrap.servers": broker.kafka, "group.id": group}
    consumer = Consumer({**settings, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    while consumer.poll(1) is None:
        pass
    consumer.close()
    produce(1)
    lines = http.get(f"/v1/groups/{group}").json()["lag"]
    assert [line["committed_offset"] for line in lines] == [1, None, None]
    assert [line["lag"] for line in lines] == [0, 1, 0]
