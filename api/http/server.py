"""The HTTP server: listens and ends its connections in order."""

from __future__ import annotations

import asyncio
import socket

from tidelog.api.address import Address
from tidelog.api.http.connection import Connection, Site
from tidelog.api.http.exchange import Application
from tidelog.api.listening import listen


class HttpServer:
    """Serves an ASGI application on one address or more."""

    def __init__(self, app: Application, *, head_limit: int, patience_ms: int) -> None:
        self._site = Site(app, head_limit, patience_ms / 1000)
        self._servers: list[asyncio.Server] = []

    async def listen(self, address: Address, *, only_ipv6: bool = False) -> Address:
        """Begin to listen; the address in use. Raises OSError."""
        taken, servers = await listen(
            *(address, lambda: Connection(self._site)),
            only_ipv6=only_ipv6,
            backlog=2048,
            serving=True,
        )
        self._servers += servers
        return taken

    async def serve(self) -> None:
        """The application says itself what it cannot answer yet."""

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._site.connections)

    def stop_listening(self) -> None:
        """Take no more connections; those that wait for a request are closed."""
        for server in self._servers:
            server.close()
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
        self._site.refused.end_minute()
        return len(late)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host in ("localhost", "::1"):
        return True
    try:
        return socket.inet_aton(host)[0] == 127
    except OSError:
        return False
