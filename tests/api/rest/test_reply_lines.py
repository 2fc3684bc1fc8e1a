"""Clients of a stream of lines that read replies late, at once, or never."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any

import httpx
import pytest

from tests.support.broker_process import BrokerProcess
from tidelog.api.http.reply_lines import ReplyLines
from tidelog.api.http.request_reply import Message

RECORDS = 20_000
LINE = b'{"value":1}\n'
PATIENCE_S = 20


@pytest.fixture
def late_reader(broker: BrokerProcess) -> Iterator[socket.socket]:
    """A connection to the broker that has little room for what is not read."""
    host, _, port = broker.url.removeprefix("http://").rpartition(":")
    with socket.socket() as connection:
        connection.settimeout(PATIENCE_S)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        # Small segments keep the broker's side of the connection small as well.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        connection.connect((host, int(port)))
        yield connection


def begin(connection: socket.socket, topic: str, length: int) -> None:
    """Send the head of a request."""
    head = (
        f"POST /v1/topics/{topic}/records?acks=1 HTTP/1.1\r\nhost: localhost\r\n"
        f"content-type: application/x-ndjson\r\ncontent-length: {length}\r\n\r\n"
    )
    connection.sendall(head.encode())


def replies(connection: socket.socket) -> list[Any]:
    """Read the reply to its end."""
    with HTTPResponse(connection) as response:
        response.begin()
        assert response.status == 200
        return [json.loads(line) for line in response.read().splitlines()]


def test_the_body_is_read_while_nobody_reads_the_replies(
    http: httpx.Client, single: str, late_reader: socket.socket
) -> None:
    begin(late_reader, single, RECORDS * len(LINE))
    late_reader.sendall(LINE * RECORDS)
    end = 0
    while end < RECORDS:
        query = {"offset": end, "max_records": 10_000, "wait_ms": PATIENCE_S * 1000}
        answer = http.get(f"/v1/topics/{single}/partitions/0/records", params=query).json()
        assert answer["records"], f"after {end} records nothing came"
        end = answer["next_offset"]
    assert [reply["offset"] for reply in replies(late_reader)] == list(range(RECORDS))


def test_records_of_many_partitions_are_answered_in_their_order(
    topic: str, late_reader: socket.socket
) -> None:
    partitions = [n * n % 3 for n in range(RECORDS)]
    body = b"".join(b'{"value":1,"partition":%d,"timestamp":%d}\n' % (p, p) for p in partitions)
    begin(late_reader, topic, len(body))
    late_reader.sendall(body)
    ends = [0, 0, 0]
    for partition, reply in zip(partitions, replies(late_reader), strict=True):
        expected = {"partition": partition, "offset": ends[partition], "timestamp": partition}
        assert reply == expected
        ends[partition] += 1


def test_a_bad_line_is_told_of_after_all_others_and_the_rest_is_passed_over(
    http: httpx.Client, single: str, late_reader: socket.socket
) -> None:
    body = LINE * RECORDS + b'{"bad":1}\n' + LINE * RECORDS * 20
    begin(late_reader, single, len(body))
    late_reader.sendall(body)
    *lines, last = replies(late_reader)
    assert [line["offset"] for line in lines] == list(range(RECORDS))
    assert last["error"]["details"]["line"] == RECORDS + 1
    begin(late_reader, single, len(LINE))
    late_reader.sendall(LINE)
    assert [line["offset"] for line in replies(late_reader)] == [RECORDS]


def test_a_reply_comes_before_the_next_line_is_sent(
    single: str, late_reader: socket.socket
) -> None:
    begin(late_reader, single, 3 * len(LINE))
    late_reader.sendall(LINE)
    with HTTPResponse(late_reader) as response:
        response.begin()
        assert json.loads(response.readline())["offset"] == 0
        for offset in (1, 2):
            late_reader.sendall(LINE)
            assert json.loads(response.readline())["offset"] == offset
        assert response.read() == b""


class GatedClient:
    """The client's end of a reply; takes a message for each ``gate.release()``."""

    def __init__(self) -> None:
        self.gate = asyncio.Semaphore(0)
        self.taken = b""

    async def send(self, message: Message) -> None:
        await self.gate.acquire()
        self.taken += message.get("body", b"")


async def settled() -> None:
    """Let every task run until it waits for something that does not come by itself."""
    for _ in range(100):
        await asyncio.sleep(0)


async def test_the_writer_waits_when_too_much_is_held() -> None:
    client = GatedClient()
    lines = ReplyLines(client.send, held_bytes_max=10_000)
    written = [b"".join(b"%d\n" % n for n in range(first, first + 50_000)) for first in range(20)]

    async def write() -> None:
        for some in written:
            await lines.put(some)
        await lines.end()

    writer = asyncio.create_task(write())
    await settled()
    held = lines.held_bytes
    assert not writer.done()
    assert 10_000 < held < 500_000
    await settled()
    assert lines.held_bytes == held
    while not writer.done():
        client.gate.release()
        await settled()
        assert lines.held_bytes < 500_000
    await writer
    assert client.taken == b"".join(written)


async def test_what_sending_raises_reaches_the_writer() -> None:
    async def send(message: Message) -> None:
        raise OSError("no way out")

    lines = ReplyLines(send)
    await lines.put(b"1\n")
    with pytest.raises(OSError, match="no way out"):
        await lines.end()
