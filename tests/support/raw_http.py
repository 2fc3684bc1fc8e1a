"""Requests as bytes, for what no well-behaved client sends."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    """A reply; header names are in lower case. The body is without its chunk marks."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of the one form of error, which has these fields and no others."""
        (told,) = self.json.values()
        assert set(told) == {"code", "message", "details"}
        assert told["message"]
        return str(told["code"])


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    """A connection to the server of a URL."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        yield connection


def read_answer(stream: BinaryIO, method: str = "GET") -> Answer | None:
    """The next reply, None at the end of the connection; ``method`` is that of the request."""
    first = stream.readline()
    if not first:
        return None
    protocol, status, _ = first.split(b" ", 2)
    assert protocol == b"HTTP/1.1"
    headers: dict[str, str] = {}
    while (line := stream.readline().decode("latin-1").rstrip("\r\n")) != "":
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    return Answer(int(status), headers, _read_body(stream, method, int(status), headers))


def _read_body(stream: BinaryIO, method: str, status: int, headers: dict[str, str]) -> bytes:
    if method == "HEAD" or status in (204, 304) or status < 200:
        return b""
    if "content-length" in headers:
        return stream.read(int(headers["content-length"]))
    if "transfer-encoding" not in headers:
        assert headers["connection"] == "close", "only the end of the connection can end this body"
        return stream.read()
    parts = []
    while size := int(stream.readline(), 16):
        parts.append(stream.read(size))
        assert stream.readline() == b"\r\n"
    assert stream.readline() == b"\r\n"
    return b"".join(parts)


def exchange(url: str, sent: bytes, method: str = "GET") -> Answer:
    """The one reply to these bytes."""
    with connected(url) as connection, connection.makefile("rb") as stream:
        connection.sendall(sent)
        answer = read_answer(stream, method)
        assert answer is not None
        return answer


def call(url: str, method: str, target: str, body: Any = None, **headers: str) -> Answer:
    """A request whose target is sent as it is; the body is sent as JSON unless it is bytes."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"Host": urlsplit(url).netloc, "Content-Type": "application/json", **headers}
    if data:
        given["Content-Length"] = str(len(data))
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in given.items()]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return exchange(url, head + data, method)
