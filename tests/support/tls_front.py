"""A front that takes TLS off and passes bytes on to a broker, as proxies do; it remembers them."""

from __future__ import annotations

import contextlib
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
from pathlib import Path

import pytest


def make_certificate(directory: Path, host: str = "127.0.0.1") -> tuple[Path, Path]:
    """A certificate that has signed itself, and its key, in PEM; skips without OpenSSL."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=test", "-addext", f"subjectAltName=IP:{host}"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


class TlsFront:
    """In front of the broker at ``port``; ``heard`` is what clients have sent."""

    def __init__(self, certificate: Path, key: Path, port: int) -> None:
        self.heard = b""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        front = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with (
                    contextlib.suppress(OSError),
                    context.wrap_socket(self.request, server_side=True) as client,
                    socket.create_connection(("127.0.0.1", port)) as broker,
                ):
                    back = threading.Thread(target=_copy, args=(broker, client))
                    back.start()
                    while data := client.recv(65_536):
                        front.heard += data
                        broker.sendall(data)
                    broker.shutdown(socket.SHUT_RDWR)
                    back.join()

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = "https://{}:{}".format(*self._server.server_address[:2])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def __enter__(self) -> TlsFront:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
