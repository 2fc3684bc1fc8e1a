"""What each client sends is what it and every other reads: bytes, nulls, headers, times, order."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict

import httpx
import pytest

from tests.support.kafka_clients.contract import KafkaClient, Message, ProducerOptions
from tests.support.kafka_clients.every import CLIENTS, OpenClients

NOW = 1_750_000_000_000
EVERY_CODEC = [
    (name, codec)
    for name, client in CLIENTS.items()
    for codec in ("none", *client.codecs)  # type: ignore[attr-defined]
]
every_client = pytest.mark.parametrize("client", CLIENTS, indirect=True)


def sample(client: KafkaClient) -> list[Message]:
    """A bit of everything that the client can send, in the partition 0."""
    timed = client.name != "kcat"
    headers: tuple[tuple[str, bytes | None], ...] = (("a", b"1"), ("a", b"2"), ("empty", b""))
    if client.name not in ("kafkajs", "kafka-python"):  # these two refuse null headers themselves
        headers = (("none", None), *headers)
    forms = [
        Message(b"value", b"key"),
        Message(b"no key"),
        Message(None, b"tombstone"),
        Message("grün \N{SNOWMAN}".encode(), "schlüssel".encode(), headers),
        Message(bytes(range(32, 256)), bytes(range(128, 256)), headers),
        Message(b"x" * 10_000, b"large"),
    ]
    return [
        one._replace(partition=0, timestamp_ms=NOW + number if timed else None)
        for number, one in enumerate(forms)
    ]


def without_time(messages: list[Message]) -> list[Message]:
    return [message._replace(timestamp_ms=None) for message in messages]


@pytest.mark.parametrize(("client", "codec"), EVERY_CODEC, indirect=["client"])
def test_every_codec_there_and_back(client: KafkaClient, codec: str, single: str) -> None:
    sent = sample(client)
    client.produce(single, sent, ProducerOptions(codec=codec))
    got = client.consume(single, len(sent))
    assert [message.offset for message in got] == list(range(len(sent)))
    if client.name == "kcat":
        got = without_time(got)
    assert [message._replace(offset=None) for message in got] == sent


@pytest.mark.parametrize(
    ("client", "other"), [*itertools.permutations(CLIENTS, 2)], indirect=["client"]
)
def test_what_one_client_sends_another_reads(
    client: KafkaClient, other: str, clients: OpenClients, single: str
) -> None:
    sent = sample(client)
    client.produce(single, sent, ProducerOptions(codec="gzip"))
    assert clients[other].consume(single, len(sent)) == client.consume(single, len(sent))


@every_client
def test_ten_megabytes_in_many_batches(
    client: KafkaClient, single: str, http: httpx.Client
) -> None:
    number = random.Random(10)
    sent = [Message(number.randbytes(500).hex().encode(), b"%d" % index) for index in range(10_000)]
    codec = "snappy"
    client.produce(single, sent, ProducerOptions(codec=codec))
    got = client.consume(single, len(sent))
    assert [(one.offset, one.key, one.value) for one in got] == [
        (offset, one.key, one.value) for offset, one in enumerate(sent)
    ]
    shown = http.get(f"/v1/topics/{single}").json()
    assert shown["partitions"][0]["end_offset"] == len(sent)


@every_client
def test_a_key_goes_to_the_same_partition_from_everywhere(
    client: KafkaClient, topic: str, http: httpx.Client
) -> None:
    keys = [b"%d" % number for number in range(50)] + ["schlüssel".encode(), b"k" * 101]
    client.produce(
        topic, [Message(b"", key) for key in keys], ProducerOptions(java_partitioner=True)
    )
    of_client = {one.key: one.partition for one in client.consume(topic, len(keys))}
    body = {"records": [{"key_text": key.decode(), "value": 1} for key in keys]}
    answer = http.post(f"/v1/topics/{topic}/records", json=body).json()
    of_http = {key: one["partition"] for key, one in zip(keys, answer["records"], strict=True)}
    assert of_client == of_http
    sizes: dict[int, int] = defaultdict(int)
    for partition in of_http.values():
        sizes[partition] += 1
    assert len(sizes) == 3
