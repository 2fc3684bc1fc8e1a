"""The HTTP server: uvicorn's protocol in our own event loop, with bounds of our own.

The head of a request is bounded in bytes, the pauses within a request in time. The idle time
between requests is uvicorn's keep-alive time-out.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

from uvicorn.config import Config as UvicornConfig
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tidelog.api.rest.gathering import GatheringTransport

KEEP_ALIVE_S = 75
_TOO_LARGE = (431, "header_too_large", "the request head is larger than http.max.header.bytes")
_TOO_SLOW = (408, "request_timeout", "the request did not arrive within http.body.timeout.ms")
_INVALID = (400, "invalid_http", "the request is not valid HTTP")
_REASONS = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}


class BoundedProtocol(HttpToolsProtocol):
    """One connection; ``head_limit`` in bytes, ``patience_s`` between pieces of a request."""

    head_limit = 65_536
    patience_s = 60.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        gathering = GatheringTransport(transport, self.loop)
        super().connection_made(gathering)  # type: ignore[arg-type]
        self._head_bytes = 0
        self._receiving = True
        self._heard = self.loop.time()
        self._timer = self.loop.call_later(self.patience_s, self._check_patience)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._heard = self.loop.time()
        if self._head_bytes >= 0:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > self.head_limit:
            self._refuse(*_TOO_LARGE)

    def on_message_begin(self) -> None:
        self._receiving = True
        self._head_bytes = max(self._head_bytes, 0)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_bytes = -1
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.head_limit:
            self._refuse(*_TOO_LARGE)
            return
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._receiving = False
        self._head_bytes = 0
        if self.cycle is not None:
            super().on_message_complete()

    def on_body(self, body: bytes) -> None:
        if self.cycle is not None:
            super().on_body(body)

    def _check_patience(self) -> None:
        """Close a connection that began a request and fell silent."""
        silent = self.loop.time() - self._heard
        reading = not self.flow.read_paused
        if self._receiving and reading and silent >= self.patience_s:
            if self.cycle is None or self.cycle.response_complete:
                self._refuse(*_TOO_SLOW)
            else:
                self.transport.close()
            return
        wait = self.patience_s - silent if silent < self.patience_s else self.patience_s
        self._timer = self.loop.call_later(wait, self._check_patience)

    def send_400_response(self, msg: str) -> None:
        self._refuse(*_INVALID)

    def _refuse(self, status: int, code: str, message: str) -> None:
        if self.transport.is_closing():
            return
        body = f'{{"error":{{"code":"{code}","message":"{message}","details":{{}}}}}}'
        self.transport.write(
            f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n{body}".encode()
        )
        self.transport.close()


class HttpServer:
    """Serves an ASGI application on one address."""

    def __init__(self, app: Any, *, head_limit: int, patience_ms: int) -> None:
        self._config = UvicornConfig(
            app,
            access_log=False,
            log_config=None,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        self._config.load()
        self._state = ServerState()
        self._server: asyncio.Server | None = None
        self._protocol = type(
            "Protocol",
            (BoundedProtocol,),
            {"head_limit": head_limit, "patience_s": patience_ms / 1000},
        )

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Begin to listen; the address in use. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, host, port, backlog=2048)
        address = self._server.sockets[0].getsockname()
        return address[0], address[1]

    def _connection(self) -> asyncio.Protocol:
        protocol: asyncio.Protocol = self._protocol(
            config=self._config, server_state=self._state, app_state={}
        )
        return protocol

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._state.connections)

    def stop_listening(self) -> None:
        """Take no more connections; those that wait for a request are closed."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._state.connections):
            connection.shutdown()

    async def stop(self, grace_ms: int) -> int:
        """Let requests under way finish; how many did not within ``grace_ms``."""
        self.stop_listening()
        tasks = set(self._state.tasks)
        late: set[asyncio.Task[None]] = set()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace_ms / 1000)
        for task in late:
            task.cancel()
        for connection in list(self._state.connections):
            with contextlib.suppress(AttributeError):
                connection.transport.close()
        return len(late)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host in ("localhost", "::1"):
        return True
    try:
        return socket.inet_aton(host)[0] == 127
    except OSError:
        return False
