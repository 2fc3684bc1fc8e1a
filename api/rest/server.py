"""The HTTP server: listens on one address and ends its connections in order."""

from __future__ import annotations

import asyncio
import socket

from tidelog.api.rest.connection import Connection, Site
from tidelog.api.rest.exchange import Application


class HttpServer:
    """Serves an ASGI application on one address."""

    def __init__(self, app: Application, *, head_limit: int, patience_ms: int) -> None:
        self._site = Site(app, head_limit, patience_ms / 1000)
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Begin to listen; the address in use. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._site), host, port, backlog=2048
        )
        address = self._server.sockets[0].getsockname()
        return address[0], address[1]

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._site.connections)

    def stop_listening(self) -> None:
        """Take no more connections; those that wait for a request are closed."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._site.connections):
            connection.shutdown()

    async def stop(self, grace_ms: int) -> int:
        """Let requests under way finish; how many did not within ``grace_ms``."""
        self.stop_listening()
        tasks = set(self._site.tasks)
        late: set[asyncio.Task[None]] = set()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace_ms / 1000)
        for task in late:
            task.cancel()
        for connection in list(self._site.connections):
            connection.close()
        return len(late)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host in ("localhost", "::1"):
        return True
    try:
        return socket.inet_aton(host)[0] == 127
    except OSError:
        return False
