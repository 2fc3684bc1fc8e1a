"""A proxy before a broker's HTTP API that tells what is asked and can keep an answer to itself."""

from __future__ import annotations

import socket
import socketserver
import threading
from typing import Any
from urllib.parse import urlsplit

_CHUNK = 1024 * 1024


class HoldingProxy:
    """Forwards to ``target``, an http URL.

    To the first request whose line holds ``held`` the broker's answer is not handed on but, if
    there is one, ``instead``; ``came`` is set when the broker has given it. All that is sent to
    the broker is added to ``requests``.
    """

    def __init__(
        self,
        target: str,
        held: str = "",
        instead: bytes = b"",
        requests: list[bytes] | None = None,
    ) -> None:
        self.came = threading.Event()
        self.requests = [] if requests is None else requests
        self._held = held.encode()
        self._instead = instead
        self._lines: list[bytes] = []
        self._changed = threading.Condition()
        address = urlsplit(target)
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with socket.create_connection((address.hostname, address.port)) as broker:
                    _Connection(proxy, self.request, broker).run()

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = "http://{}:{}".format(*self._server.server_address[:2])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def wait_for(self, part: str, times: int = 1) -> None:
        """Until so many requests have been forwarded whose lines hold ``part``."""

        def are_there() -> bool:
            return sum(part.encode() in line for line in self._lines) >= times

        with self._changed:
            assert self._changed.wait_for(are_there, 60), self._lines

    def seen(self, line: bytes) -> bool:
        """Whether the answer to this request is held."""
        with self._changed:
            self._lines.append(line)
            self._changed.notify_all()
            wanted = bool(self._held) and self._held in line
            if wanted:
                self._held = b""
            return wanted

    def instead(self) -> bytes:
        """The broker has answered what is held."""
        self.came.set()
        return self._instead

    def __enter__(self) -> HoldingProxy:
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Connection:
    def __init__(self, proxy: HoldingProxy, client: socket.socket, broker: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._broker = broker
        self._holds = False

    def run(self) -> None:
        downstream = threading.Thread(target=self._answers, daemon=True)
        downstream.start()
        try:
            while data := self._client.recv(_CHUNK):
                self._proxy.requests.append(data)
                line = data.partition(b"\r\n")[0]
                if line.endswith(b"HTTP/1.1"):
                    self._holds = self._proxy.seen(line)
                self._broker.sendall(data)
            self._broker.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        downstream.join()

    def _answers(self) -> None:
        try:
            while data := self._broker.recv(_CHUNK):
                self._client.sendall(self._proxy.instead() if self._holds else data)
            self._client.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
