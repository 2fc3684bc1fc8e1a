"""One log, two doors: what Kafka clients write is read over HTTP, and the other way round."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from tests.support.kafka_clients.contract import KafkaClient, Message
from tests.support.kafka_clients.every import CLIENTS, OpenClients

NOW = 1_750_000_000_000
BINARY = bytes(range(0, 256, 5))
every_client = pytest.mark.parametrize("client", CLIENTS, indirect=True)


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def fetch(http: httpx.Client, topic: str, **query: Any) -> list[dict[str, Any]]:
    answer = http.get(f"/v1/topics/{topic}/partitions/0/records", params=query)
    return list(answer.raise_for_status().json()["records"])


def test_kafka_to_http(clients: OpenClients, http: httpx.Client, single: str) -> None:
    headers = (("trace", b"abc"), ("bytes", b"\xff"), ("trace", b"again"), ("none", None))
    clients["confluent-kafka"].produce(
        single,
        [
            Message(b'{"n": 1}', b"key", (), NOW),
            Message(b"not json", None, (), NOW + 1),
            Message(BINARY, BINARY, headers, NOW + 2),
            Message(None, b"tombstone", (), NOW + 3),
            Message(b"", b"", (("empty", b""),), NOW + 4),
        ],
    )
    assert fetch(http, single) == [
        {"offset": 0, "timestamp": NOW, "key": "key", "value": {"n": 1}, "headers": {}},
        {"offset": 1, "timestamp": NOW + 1, "key": None, "value_text": "not json", "headers": {}},
        {
            "offset": 2,
            "timestamp": NOW + 2,
            "key_base64": base64_of(BINARY),
            "value_base64": base64_of(BINARY),
            "headers": [
                {"name": "trace", "value": "abc"},
                {"name": "bytes", "value_base64": base64_of(b"\xff")},
                {"name": "trace", "value": "again"},
                {"name": "none", "value": None},
            ],
        },
        {"offset": 3, "timestamp": NOW + 3, "key": "tombstone", "value": None, "headers": {}},
        {
            "offset": 4,
            "timestamp": NOW + 4,
            "key": "",
            "value_text": "",
            "headers": {"empty": ""},
        },
    ]


def test_kcat_to_http(clients: OpenClients, http: httpx.Client, single: str) -> None:
    sent = [Message(b'"%d"' % n, b"key-%d" % n, (("trace", b"abc"),)) for n in range(3)]
    clients["kcat"].produce(single, [*sent, Message(None, b"gone")])
    got = fetch(http, single)
    assert [one["key"] for one in got] == ["key-0", "key-1", "key-2", "gone"]
    assert [one["value"] for one in got] == ["0", "1", "2", None]
    assert [one["headers"] for one in got] == [{"trace": "abc"}] * 3 + [{}]


@every_client
def test_http_to_kafka(client: KafkaClient, http: httpx.Client, single: str) -> None:
    records: list[dict[str, Any]] = [
        {"key": "text", "value": {"a": [1, None]}, "timestamp": NOW},
        {"value_text": "no key", "timestamp": NOW + 1},
        {"key_base64": base64_of(BINARY), "value_base64": base64_of(BINARY), "timestamp": NOW + 2},
        {"key": "tombstone", "value": None, "timestamp": NOW + 3},
        {
            "value": 0,
            "timestamp": NOW + 4,
            "headers": [
                {"name": "a", "value": "1"},
                {"name": "a", "value": "2"},
                {"name": "b", "value_base64": base64_of(b"bytes")},
            ],
        },
    ]
    http.post(f"/v1/topics/{single}/records", json={"records": records}).raise_for_status()
    headers = (("a", b"1"), ("a", b"2"), ("b", b"bytes"))
    assert client.consume(single, len(records)) == [
        Message(b'{"a":[1,null]}', b"text", (), NOW, 0, 0),
        Message(b"no key", None, (), NOW + 1, 0, 1),
        Message(BINARY, BINARY, (), NOW + 2, 0, 2),
        Message(None, b"tombstone", (), NOW + 3, 0, 3),
        Message(b"0", None, headers, NOW + 4, 0, 4),
    ]
