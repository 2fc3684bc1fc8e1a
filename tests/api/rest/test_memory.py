"""A stream of any length passes through a bounded amount of memory, in and out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import httpx

from tests.support.broker_process import BrokerProcess

MIB = 1024 * 1024
LINES, CHUNKS, VALUE = 250, 80, "x" * 1000
SENT = LINES * CHUNKS
BOUND = 12 * MIB
NDJSON = {"Content-Type": "application/x-ndjson"}


def body() -> Iterator[bytes]:
    """20 MB of lines, in pieces that do not end where lines end."""
    piece = b'{"value_text":"%b"}\n' % VALUE.encode() * LINES
    rest = b""
    for _ in range(CHUNKS):
        whole = rest + piece
        yield whole[:-7]
        rest = whole[-7:]
    yield rest


def count_lines(http: httpx.Client, path: str) -> int:
    with http.stream("GET", path, headers={"Accept": "application/x-ndjson"}) as answer:
        return sum(part.count(b"\n") for part in answer.iter_bytes())


def test_streams_of_lines(start_broker: Callable[..., BrokerProcess]) -> None:
    broker = start_broker("--set", "cache.bytes=1000000", "--set", "flush.mode=os")
    with broker.client() as http:
        http.post("/v1/topics", json={"name": "t", "partitions": 2}).raise_for_status()
        before = broker.peak_memory_bytes
        path = "/v1/topics/t/records"
        with http.stream("POST", path, content=body(), headers=NDJSON) as answer:
            replies = [json.loads(line)["offset"] for line in answer.iter_lines()]
        assert len(replies) == SENT
        assert broker.peak_memory_bytes - before < BOUND
        one = [count_lines(http, f"/v1/topics/t/partitions/{n}/records") for n in range(2)]
        assert sum(one) == count_lines(http, path) == SENT
        assert broker.peak_memory_bytes - before < BOUND
