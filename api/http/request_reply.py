"""Requests and replies of the routes that bypass the framework: plain ASGI, nothing per byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from tidelog.api.errors import ApiError
from tidelog.api.http.accept import negotiate
from tidelog.api.http.content_coding import GZIP_CODING, Gunzip, codings_of, decode
from tidelog.api.http.parameters import known_parameters
from tidelog.storage.errors import DecompressionTooLarge

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON = b"application/json"
NDJSON = b"application/x-ndjson"
EVENT_STREAM = b"text/event-stream"
OCTET_STREAM = b"application/octet-stream"

_REQUEST_ID_BYTES_MAX = 128
NO_STORE = (b"cache-control", b"no-store")


class ClientDisconnected(Exception):
    """The client went away; nobody is left to answer."""


class Request:
    """One HTTP request; headers have lower-case names."""

    def __init__(self, scope: Scope, receive: Receive, body_limit: int) -> None:
        self._lines: list[tuple[bytes, bytes]] = scope["headers"]
        self.headers: dict[bytes, bytes] = dict(self._lines)
        self.query_string: bytes = scope["query_string"]
        self._receive = receive
        self._body_limit = body_limit

    def query(self, allowed: frozenset[str], *, prefix: str = "") -> dict[str, str]:
        """The query's parameters. Raises ApiError for one that is unknown, repeated or no text."""
        if not self.query_string:
            return {}
        return known_parameters(self.query_string, allowed, prefix=prefix)

    @property
    def content_type(self) -> bytes:
        """The media type of the body, without parameters, in lower case."""
        return self.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()

    def lines(self, name: bytes) -> list[bytes]:
        """What every line of a header says, in order."""
        value = self.headers.get(name)
        if value is None:
            return []
        # Where no header comes twice, this one does not.
        if len(self.headers) == len(self._lines):
            return [value]
        return [value for other, value in self._lines if other == name]

    def accepted(self, offered: tuple[bytes, ...]) -> bytes:
        """The form of the answer, the first by default. Raises ApiError where none will do."""
        return negotiate(self.lines(b"accept"), offered)

    def header(self, name: str) -> bytes | None:
        """A header that comes once. Raises ApiError where it comes again."""
        key = name.lower().encode()
        value = self.headers.get(key)
        if value is not None and len(self.lines(key)) > 1:
            message = f"the header {name} is given twice"
            raise ApiError(422, "invalid_header", message, header=name)
        return value

    async def body(self) -> bytes:
        """The whole body, decoded. Raises ApiError where it is too large or not decodable."""
        limit = self._body_limit
        declared = self.headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > limit:
            raise too_large(limit)
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        body: bytes = message.get("body", b"")
        if message.get("more_body"):
            body = await self._rest(body, limit)
        if len(body) > limit:
            raise too_large(limit)
        codings = self._codings()
        if not codings:
            return body
        try:
            return await decode(codings, body, limit)
        except DecompressionTooLarge:
            raise too_large(limit) from None

    def _codings(self) -> list[str]:
        lines = self.lines(b"content-encoding")
        return codings_of(lines) if lines else []

    async def _rest(self, body: bytes, limit: int) -> bytes:
        parts, size = [body], len(body)
        async for part in self._parts():
            parts.append(part)
            size += len(part)
            if size > limit:
                raise too_large(limit)
        return b"".join(parts)

    async def _parts(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            more = message.get("more_body", False)
            yield message.get("body", b"")

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body piece by piece, decoded; gzip alone is, others whole within the body limit."""
        codings = self._codings()
        if codings and codings != [GZIP_CODING]:
            yield await self.body()
            return
        gunzip = Gunzip() if codings else None
        async for part in self._parts():
            if gunzip is None:
                yield part
                continue
            for piece in gunzip.feed(part):
                yield piece
                # A reader that finds no line in it does not wait, and small is what comes in.
                await asyncio.sleep(0)
        if gunzip is not None:
            gunzip.end()

    async def disconnected(self) -> None:
        """Return when the client has gone away."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


def too_large(limit: int) -> ApiError:
    """The answer to a body beyond ``limit`` bytes."""
    message = f"the request body is larger than http.max.body.bytes={limit}"
    return ApiError(413, "body_too_large", message, limit=limit)


def given_request_id(headers: Mapping[bytes, bytes]) -> bytes | None:
    """The client's own id of the request, if it is one to go on with."""
    given = headers.get(b"x-request-id")
    return given if given and len(given) <= _REQUEST_ID_BYTES_MAX else None


async def reply(
    send: Send,
    status: int,
    body: bytes,
    content_type: bytes = JSON,
    headers: tuple[tuple[bytes, bytes], ...] = (NO_STORE,),
) -> None:
    """Send a whole reply."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", content_type),
                (b"content-length", b"%d" % len(body)),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def begin_stream(
    send: Send, content_type: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    """Begin a reply whose length is not known; proxies such as nginx are not to hold it back."""
    start = [
        (b"content-type", content_type),
        (b"cache-control", b"no-store, no-transform"),
        (b"x-accel-buffering", b"no"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": [*start, *headers]})


async def stream(send: Send, body: bytes, *, more: bool = True) -> None:
    """Send a part of a streamed reply."""
    await send({"type": "http.response.body", "body": body, "more_body": more})
