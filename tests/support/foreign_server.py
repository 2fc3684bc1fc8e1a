"""A server that is no broker: it answers whatever it is asked with the same bytes."""

from __future__ import annotations

import socketserver
import threading
from typing import Any


class ForeignServer:
    """Sends ``answer`` and closes, for each connection; ``closed`` says that it has."""

    def __init__(self, answer: bytes) -> None:
        self.closed = threading.Event()
        self.connections = 0
        foreign = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                foreign.connections += 1
                self.request.recv(65_536)
                self.request.sendall(answer)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

            def shutdown_request(self, request: Any) -> None:
                super().shutdown_request(request)
                foreign.closed.set()

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = "http://{}:{}".format(*self._server.server_address[:2])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def __enter__(self) -> ForeignServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
