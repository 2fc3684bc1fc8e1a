"""Requests and replies of the routes that bypass the framework: plain ASGI, nothing per byte."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from tidelog.api.errors import ApiError
from tidelog.storage.compression import decompress
from tidelog.storage.errors import CorruptBatch, DecompressionTooLarge

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON = b"application/json"
NDJSON = b"application/x-ndjson"
EVENT_STREAM = b"text/event-stream"
OCTET_STREAM = b"application/octet-stream"

_GZIP, _ZSTD = 1, 4
_NO_STORE = (b"cache-control", b"no-store")


class ClientDisconnected(Exception):
    """The client went away; nobody is left to answer."""


class Request:
    """One HTTP request; headers have lower-case names."""

    def __init__(self, scope: Scope, receive: Receive, body_limit: int) -> None:
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.method: str = scope["method"]
        self.query_string: bytes = scope["query_string"]
        self._receive = receive
        self._body_limit = body_limit

    def query(self, allowed: frozenset[str], *, prefix: str = "") -> dict[str, str]:
        """The query's parameters. Raises ApiError for one that is unknown or repeated."""
        if not self.query_string:
            return {}
        pairs = parse_qsl(self.query_string.decode("latin-1"), keep_blank_values=True)
        found: dict[str, str] = {}
        for name, value in pairs:
            if name not in allowed and not (prefix and name.startswith(prefix)):
                known = ", ".join(sorted(allowed))
                message = f"unknown query parameter {name!r}; known are {known}"
                raise ApiError(422, "unknown_parameter", message, parameter=name)
            if name in found:
                message = f"query parameter {name!r} is given twice"
                raise ApiError(422, "invalid_parameter", message, parameter=name)
            found[name] = value
        return found

    @property
    def content_type(self) -> bytes:
        """The media type of the body, without parameters, in lower case."""
        return self.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()

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
        encoding = self.headers.get(b"content-encoding")
        return body if encoding is None else _decode(encoding, body, limit)

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
        """The body piece by piece, decoded; zstd is read whole within the body limit."""
        encoding = self.headers.get(b"content-encoding", b"identity").strip().lower()
        if encoding == b"zstd":
            yield await self.body()
            return
        if encoding not in (b"identity", b"gzip"):
            raise _unknown_encoding(encoding)
        inflater = zlib.decompressobj(31) if encoding == b"gzip" else None
        async for part in self._parts():
            if inflater is None:
                yield part
                continue
            while part:
                try:
                    yield inflater.decompress(part, 1024 * 1024)
                except zlib.error as error:
                    raise _not_decodable("gzip", str(error)) from error
                part = inflater.unconsumed_tail
        if inflater is not None and not inflater.eof:
            raise _not_decodable("gzip", "the data ends too early")

    async def disconnected(self) -> None:
        """Return when the client has gone away."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _decode(encoding: bytes, body: bytes, limit: int) -> bytes:
    name = encoding.strip().lower()
    if name == b"identity":
        return body
    codec = {b"gzip": _GZIP, b"zstd": _ZSTD}.get(name)
    if codec is None:
        raise _unknown_encoding(name)
    try:
        return bytes(decompress(codec, body, limit))
    except DecompressionTooLarge:
        raise too_large(limit) from None
    except CorruptBatch as error:
        raise _not_decodable(name.decode(), error.reason) from error


def _unknown_encoding(encoding: bytes) -> ApiError:
    name = encoding.decode("latin-1")
    message = f"content encoding {name!r} is not supported; gzip, zstd and identity are"
    return ApiError(415, "unsupported_encoding", message)


def _not_decodable(name: str, reason: str) -> ApiError:
    return ApiError(400, "invalid_encoding", f"the body is not valid {name}: {reason}")


def too_large(limit: int) -> ApiError:
    """The answer to a body beyond ``limit`` bytes."""
    message = f"the request body is larger than http.max.body.bytes={limit}"
    return ApiError(413, "body_too_large", message, limit=limit)


def whole_number(query: dict[str, str], name: str, default: int, low: int, high: int) -> int:
    """A number from the query within bounds. Raises ApiError naming them."""
    text = query.get(name)
    if text is None:
        return default
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high or not text.isascii():
        message = f"{name} must be a whole number from {low} to {high}, not {text!r}"
        raise ApiError(422, "invalid_parameter", message, parameter=name)
    return value


def one_of(query: dict[str, str], name: str, choices: tuple[str, ...]) -> str:
    """One of ``choices`` from the query, the first by default. Raises ApiError."""
    value = query.get(name, choices[0])
    if value not in choices:
        message = f"{name} must be one of {', '.join(choices)}, not {value!r}"
        raise ApiError(422, "invalid_parameter", message, parameter=name)
    return value


async def reply(
    send: Send,
    status: int,
    body: bytes,
    content_type: bytes = JSON,
    headers: tuple[tuple[bytes, bytes], ...] = (_NO_STORE,),
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
    """Begin a reply whose length is not known."""
    start = [(b"content-type", content_type), (b"cache-control", b"no-store, no-transform")]
    await send({"type": "http.response.start", "status": 200, "headers": [*start, *headers]})


async def stream(send: Send, body: bytes, *, more: bool = True) -> None:
    """Send a part of a streamed reply."""
    await send({"type": "http.response.body", "body": body, "more_body": more})
