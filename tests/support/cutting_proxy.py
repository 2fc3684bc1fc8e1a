"""A TCP proxy that loses replies: the request arrives, the answer, or its second half, does not."""

from __future__ import annotations

import random
import socket
import socketserver
import threading
from collections import Counter
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx

_CHUNK = 1024 * 1024

Fate = Literal["delivered", "lost", "torn"]


class CuttingProxy:
    """Between a client that opens a connection per request and ``target``, an http URL.

    What becomes of each answer follows from the seed, in the order in which answers come.
    """

    def __init__(self, target: str, seed: int, lost: float = 0.2, torn: float = 0.1) -> None:
        self.fates: Counter[Fate] = Counter()
        self._source = random.Random(seed)
        self._weights = (1 - lost - torn, lost, torn)
        address = urlsplit(target)
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with socket.create_connection((address.hostname, address.port)) as broker:
                    proxy._carry(self.request, broker)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = "http://{}:{}".format(*self._server.server_address[:2])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def _carry(self, client: socket.socket, broker: socket.socket) -> None:
        upstream = threading.Thread(target=_pump, args=(client, broker), daemon=True)
        upstream.start()
        answer = broker.recv(_CHUNK)
        fate = self._fate() if answer else "delivered"
        if fate == "delivered":
            while answer:
                client.sendall(answer)
                answer = broker.recv(_CHUNK)
        elif fate == "torn":
            client.sendall(answer[: len(answer) // 2])
        client.shutdown(socket.SHUT_RDWR)
        upstream.join()

    def _fate(self) -> Fate:
        fates: tuple[Fate, ...] = ("delivered", "lost", "torn")
        [fate] = self._source.choices(fates, self._weights)
        self.fates[fate] += 1
        return fate

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> CuttingProxy:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def _pump(client: socket.socket, broker: socket.socket) -> None:
    try:
        while data := client.recv(_CHUNK):
            broker.sendall(data)
    except OSError:
        return


class Stubborn(httpx.HTTPTransport):
    """Sends a request again, as it was, until it is answered."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        request.headers["Connection"] = "close"
        while True:
            try:
                answer = super().handle_request(request)
                answer.read()
            except httpx.TransportError:
                continue
            return answer
