"""One request of a connection and its reply, as an ASGI application sees them.

The reply has a Content-Length, or goes out in chunks, or, to a client of HTTP/1.0, which knows no
chunks, lasts as long as the connection (RFC 9112, 6).
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import Protocol

from tidelog.api.errors import INTERNAL_ERROR, HttpError
from tidelog.api.http.error_body import error_body
from tidelog.api.http.request_reply import (
    JSON,
    NO_STORE,
    Message,
    Receive,
    Scope,
    Send,
    given_request_id,
)

Application = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_HELD_BYTES = 64 * 1024
"""As much of a body waits to be read; then the connection is not read from."""
_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_WITHOUT_BODY = (204, 304)
_FAILED = HttpError(500, INTERNAL_ERROR, "the broker failed; its log says why", {})
_log = logging.getLogger("tidelog.http")


class Wire(Protocol):
    """What an exchange needs of its connection."""

    is_full: bool
    """The client has to take what was written before more is."""

    @property
    def is_ending(self) -> bool:
        """No request will follow."""

    def write(self, data: bytes) -> None: ...

    async def writable(self) -> None:
        """Until it is not full, or the client has gone."""

    def resume_reading(self) -> None: ...

    def complete(self, exchange: Exchange) -> None:
        """All of the reply is written."""

    def close(self) -> None: ...


class Exchange:
    """``refusal`` is the answer to a request that cannot be read to its end."""

    def __init__(
        self,
        wire: Wire,
        scope: Scope,
        *,
        keep_alive: bool,
        expects_continue: bool = False,
        refusal: HttpError | None = None,
    ) -> None:
        self._wire = wire
        self._scope = scope
        self._expects_continue = expects_continue
        self._event = asyncio.Event()
        self._parts: list[bytes] = []
        self._held_bytes = 0
        self._delivered = False
        self._refusal = refusal
        self._bodiless = self._chunked = False
        self._left: int | None = None
        self.keep_alive = keep_alive
        self.arriving = refusal is None
        """More of the request's body is to come."""
        self.started = False
        self.complete = False
        self.lost = False
        """The connection has ended: nobody takes a reply."""

    async def run(self, app: Application) -> None:
        """Answer the request; whatever fails, the client gets a reply or the end."""
        try:
            if self._refusal is None:
                try:
                    await app(self._scope, self.receive, self.send)
                except Exception:
                    if not self.started:
                        _log.exception("an exception came out of the application")
            if not self.started and not self.lost:
                self._refuse(self._refusal or _FAILED)
        finally:
            if not self.complete:
                self._wire.close()

    # The request

    def feed(self, body: bytes) -> bool:
        """A part of the body has come; False where no more can be held."""
        if self.complete:
            return True
        self._parts.append(body)
        self._held_bytes += len(body)
        self._event.set()
        return self._held_bytes <= BODY_HELD_BYTES

    def end_request(self) -> None:
        """The body is whole."""
        self.arriving = False
        self._event.set()

    def cut(self, refusal: HttpError) -> None:
        """The rest of the request will not come; whoever reads it sees a client that has gone."""
        self._refusal = refusal
        self.keep_alive = False
        self._event.set()

    def lose(self) -> None:
        self.lost = True
        self._event.set()

    @property
    def _over(self) -> bool:
        return self.lost or self.complete or self._refusal is not None

    async def receive(self) -> Message:
        """The next part of the body, or the end of the connection."""
        if self._expects_continue:
            self._expects_continue = False
            self._wire.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not self._over and (self._delivered or (self.arriving and not self._parts)):
            if self.arriving:
                self._wire.resume_reading()
            self._event.clear()
            await self._event.wait()
        if self._over:
            return {"type": "http.disconnect"}
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._held_bytes = 0
        self._delivered = not self.arriving
        return {"type": "http.request", "body": body, "more_body": self.arriving}

    # The reply

    async def send(self, message: Message) -> None:
        """Raises RuntimeError for what is no reply, as a wrong Content-Length."""
        if self._wire.is_full:
            await self._wire.writable()
        if self.lost or (self._refusal is not None and not self.started):
            return
        if not self.started:
            self._start(message["status"], message.get("headers", ()))
        elif not self.complete:
            self._continue(message.get("body", b""), message.get("more_body", False))
        else:
            raise RuntimeError("the reply is complete")

    def _start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.started = True
        parts = [_STATUS_LINES[status]]
        length: int | None = None
        if self._expects_continue or self._wire.is_ending:
            # Whoever was not told to go on may send the body or not: nobody could tell.
            self.keep_alive = False
        for name, value in headers:
            if name == b"content-length":
                length = int(value)
            elif name == b"connection":
                self.keep_alive = False
                continue
            parts += (name, b": ", value, b"\r\n")
        if self._scope["method"] == "HEAD" or status in _WITHOUT_BODY:
            self._bodiless = True
        elif length is not None:
            self._left = length
        elif self._scope["http_version"] == "1.0":
            self.keep_alive = False
        else:
            self._chunked = True
            parts.append(b"transfer-encoding: chunked\r\n")
        parts.append(b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        self._wire.write(b"".join(parts))

    def _continue(self, body: bytes, more: bool) -> None:
        if self._bodiless:
            pass
        elif self._chunked:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            self._wire.write(chunk if more else chunk + b"0\r\n\r\n")
        else:
            if self._left is not None:
                self._left -= len(body)
                if self._left < 0 or (self._left and not more):
                    raise RuntimeError(f"the body is {-self._left} bytes longer than was said")
            self._wire.write(body)
        if not more:
            self.complete = True
            self._event.set()
            self._wire.complete(self)

    def _refuse(self, failed: HttpError) -> None:
        body = error_body(failed)
        request_id = given_request_id(dict(self._scope["headers"])) or uuid.uuid4().hex.encode()
        headers = (
            (b"content-type", JSON),
            (b"content-length", b"%d" % len(body)),
            NO_STORE,
            (b"connection", b"close"),
            (b"x-request-id", request_id),
        )
        self._start(failed.status, headers)
        self._continue(body, False)
