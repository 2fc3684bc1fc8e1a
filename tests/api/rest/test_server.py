"""The server around an application that fails: a whole reply or a clear end for every client."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tidelog.api.address import Address
from tidelog.api.http.request_reply import Message, Receive, Scope, Send
from tidelog.api.http.server import HttpServer

START: Message = {"type": "http.response.start", "status": 200, "headers": []}
GET = b"GET / HTTP/1.1\r\n\r\n"
Ask = Callable[..., Awaitable[bytes]]


class Application:
    """Does what a test says."""

    def __init__(self) -> None:
        self.run: Callable[[Receive, Send], Awaitable[Any]] = _nothing
        self.scope: Scope = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        await self.run(receive, send)


async def _nothing(receive: Receive, send: Send) -> None:
    return


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
async def address(application: Application) -> AsyncIterator[tuple[str, int]]:
    server = HttpServer(application, head_limit=1000, patience_ms=60_000)
    yield await server.listen(Address("127.0.0.1", 0))
    assert await server.stop(0) == 0


@pytest.fixture
def ask(address: tuple[str, int]) -> Ask:
    """Sends bytes; everything that comes back until the end."""

    async def ask(sent: bytes = GET) -> bytes:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(sent)
        answer = await reader.read()
        writer.close()
        return answer

    return ask


async def test_it_raises(
    application: Application, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    async def run(receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    application.run = run
    head, _, body = (await ask()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json")
    assert b"\r\nx-request-id: " in head
    assert head.endswith(b"\r\nconnection: close")
    assert body.startswith(b'{"error":{"code":"internal_error"')
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_it_says_nothing(application: Application, ask: Ask) -> None:
    answer = await ask(b"GET / HTTP/1.1\r\nX-Request-Id: mine\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 500")
    assert b"x-request-id: mine\r\n" in answer


@pytest.mark.parametrize("fails", [True, False])
async def test_it_stops_within_a_reply(application: Application, ask: Ask, fails: bool) -> None:
    """What is sent so far has no end mark."""

    async def run(receive: Receive, send: Send) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        assert not fails

    application.run = run
    assert await ask() == b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"


@pytest.mark.parametrize("body", [b"too long", b"shrt"])
async def test_a_length_that_is_wrong(application: Application, ask: Ask, body: bytes) -> None:
    async def run(receive: Receive, send: Send) -> None:
        await send({**START, "headers": [(b"content-length", b"5")]})
        with pytest.raises(RuntimeError):
            await send({"type": "http.response.body", "body": body})

    application.run = run
    assert await ask() == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"


async def test_a_reset_is_told_of(application: Application, address: tuple[str, int]) -> None:
    told: asyncio.Queue[Message] = asyncio.Queue()

    async def run(receive: Receive, send: Send) -> None:
        for _ in range(2):
            told.put_nowait(await receive())

    application.run = run
    _, writer = await asyncio.open_connection(*address)
    writer.write(GET)
    assert await told.get() == {"type": "http.request", "body": b"", "more_body": False}
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    assert await told.get() == {"type": "http.disconnect"}


async def test_what_follows_the_body_is_dropped(application: Application, ask: Ask) -> None:
    async def run(receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            pass
        await send({**START, "status": 204})
        await send({"type": "http.response.body"})

    application.run = run
    head = b"POST / HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = await ask(head + b"1\r\nx\r\n0\r\nHost: evil\r\nX-Late: 1\r\n\r\n")
    assert answer == b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"
    assert [name for name, _ in application.scope["headers"]] == [
        *(b"connection", b"transfer-encoding"),
    ]
