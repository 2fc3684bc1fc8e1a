"""One HTTP/1.1 connection: bytes become requests, and their replies go out in the same order.

Parsed by llhttp (httptools), which also decides what is no HTTP. The head of a request is bounded
in bytes, the pauses within a request and between requests in time. A connection that ends in the
middle of a request is read on for a while: closed at once, it would take the reply with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import httptools

from tidelog.api.errors import ApiError, HttpError, http_error
from tidelog.api.http.exchange import Application, Exchange
from tidelog.api.http.gathering import GatheringTransport
from tidelog.api.http.request_reply import Scope
from tidelog.api.http.target import split_target
from tidelog.api.listening import plain_address
from tidelog.api.refusals import Refusals

KEEP_ALIVE_S = 75.0
_LINGER_S = 5.0
_VERSIONS = ("1.1", "1.0")
_TOO_LARGE = HttpError(
    431, "header_too_large", "the request head is larger than http.max.header.bytes", {}
)
_TOO_SLOW = HttpError(
    408, "request_timeout", "the request did not arrive within http.body.timeout.ms", {}
)
_CUT_OFF = HttpError(400, "invalid_http", "the connection ended before the request did", {})
_VERSION = HttpError(505, "unsupported_version", "only HTTP/1.1 and HTTP/1.0 are spoken here", {})
_TUNNEL = HttpError(405, "method_not_allowed", "CONNECT is not allowed: this is no proxy", {})
_OFFERING = (b"upgrade", b"http2-settings")
"""What offers another protocol and is not heard: h2c comes with every request of some clients."""


@dataclass(frozen=True)
class Site:
    """What all connections of a server share."""

    app: Application
    head_limit: int
    """Bytes."""
    patience_s: float
    """How long the next piece of a request is waited for."""
    refused: Refusals = field(default_factory=lambda: Refusals(logging.getLogger("tidelog.http")))
    """Where it is told of what is no request."""
    connections: set[Connection] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class _Refused(Exception):
    """Stops the parser; the connection ends with this answer."""

    def __init__(self, answer: HttpError) -> None:
        self.answer = answer


class Connection(asyncio.Protocol):
    def __init__(self, site: Site) -> None:
        self._site = site
        self._loop = asyncio.get_running_loop()
        self._parser = self._new_parser()
        self._transport: Any = None
        self._names: Scope = {}
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._expects_continue = False
        self._head_bytes = 0
        """Of the head that is being read; -1 while there is none."""
        self._is_new = True
        """No request has begun."""
        self._receiving = False
        """A request has begun, and its end has not come."""
        self._arriving: Exchange | None = None
        self._answering: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._read_paused = False
        self.is_full = False
        self._writable = asyncio.Event()
        self._deaf = self._stopping = False
        self.half_closed = False
        """The client will send nothing more: it waits for its answers, or it has gone."""

    def _new_parser(self) -> Any:
        parser = httptools.HttpRequestParser(self)
        # What follows a request that asks for the end is none of ours; it must get its answer.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    # The transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._site.connections.add(self)
        self._transport = GatheringTransport(transport, self._loop)
        has_client = transport.get_extra_info("peername") is not None
        self._names = {
            "client": plain_address(transport, "peername") if has_client else None,
            "server": plain_address(transport, "sockname"),
        }
        self._heard = self._loop.time()
        self._timer = self._loop.call_later(self._patience_s, self._check_time)

    def connection_lost(self, exc: Exception | None) -> None:
        self._site.connections.discard(self)
        self._timer.cancel()
        for exchange in (self._arriving, self._answering, *self._waiting):
            if exchange is not None:
                exchange.lose()
        self.resume_writing()
        self._parser = None

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._heard = self._loop.time()
        if self._head_bytes >= 0:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline(data[offer.args[0] :])
            return
        except httptools.HttpParserError as error:
            self._refuse(_answer_to(error))
            return
        if self._head_bytes > self._site.head_limit:
            self._refuse(_TOO_LARGE)

    def eof_received(self) -> bool:
        """The connection stays open for what is still to be answered."""
        self.half_closed = True
        if self._receiving and not self._deaf:
            self._refuse(_CUT_OFF)
        if self._answering is None:
            self._transport.close()
        return True

    def pause_writing(self) -> None:
        self.is_full = True
        self._writable.clear()

    def resume_writing(self) -> None:
        self.is_full = False
        self._writable.set()

    # The parser

    def on_message_begin(self) -> None:
        self._is_new = False
        self._receiving = True
        self._arriving = None
        self._head_bytes = max(self._head_bytes, 0)
        self._url = b""
        self._headers = []
        self._expects_continue = False

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_bytes < 0:
            # A field that follows a chunked body; nobody asks for one.
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self._expects_continue = True
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        parser = self._parser
        if parser.should_upgrade():
            # The parser stops here, and the request is read again without the offer.
            return
        self._head_bytes = -1
        size = len(self._url) + sum([len(name) + len(value) + 4 for name, value in self._headers])
        version = parser.get_http_version()
        if size > self._site.head_limit:
            raise _Refused(_TOO_LARGE)
        if version not in _VERSIONS:
            raise _Refused(_VERSION)
        is_old = version == "1.0"
        self._arriving = Exchange(
            self,
            self._scope(parser.get_method().decode("ascii"), version),
            keep_alive=not is_old and parser.should_keep_alive(),
            expects_continue=self._expects_continue and not is_old,
        )
        self._enqueue(self._arriving)

    def _scope(self, method: str, version: str) -> Scope:
        target = split_target(self._url)
        headers = self._headers
        if target.authority is not None:
            # It counts, whatever the Host header says (RFC 9112, 3.2.2).
            others = [field for field in headers if field[0] != b"host"]
            headers = [(b"host", target.authority), *others]
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": version,
            "scheme": "http",
            "method": method,
            "root_path": "",
            "path": target.raw_path.decode("ascii"),
            "raw_path": target.raw_path,
            "query_string": target.query,
            "headers": headers,
            "connection": self,
            **self._names,
        }

    def on_body(self, body: bytes) -> None:
        if self._arriving is not None and not self._arriving.feed(body):
            self.pause_reading()

    def on_message_complete(self) -> None:
        if self._arriving is None:
            return
        self._receiving = False
        self._head_bytes = 0
        self._arriving.end_request()

    def _decline(self, rest: bytes) -> None:
        """Read the request as if it had offered no other protocol (RFC 9110, 7.8)."""
        method, version = self._parser.get_method(), self._parser.get_http_version()
        if method == b"CONNECT":
            self._refuse(_TUNNEL)
            return
        lines = [b"%b %b HTTP/%b" % (method, self._url, version.encode())]
        for name, value in self._headers:
            if name == b"connection":
                options = [option.strip() for option in value.split(b",")]
                value = b", ".join(one for one in options if one.lower() not in _OFFERING)
            if name not in _OFFERING:
                lines.append(name + b": " + value)
        self._parser = self._new_parser()
        self._head_bytes = 0
        self.data_received(b"\r\n".join([*lines, b"", rest]))

    # Requests and their replies

    def _enqueue(self, exchange: Exchange) -> None:
        if self._answering is None:
            self._begin(exchange)
        else:
            self._waiting.append(exchange)
            self.pause_reading()

    def _begin(self, exchange: Exchange) -> None:
        self._answering = exchange
        task = self._loop.create_task(exchange.run(self._site.app))
        self._site.tasks.add(task)
        task.add_done_callback(self._site.tasks.discard)

    def complete(self, exchange: Exchange) -> None:
        self._answering = None
        if not exchange.keep_alive or self.is_ending:
            self._end()
        elif self._waiting:
            self._begin(self._waiting.popleft())
        else:
            self._heard = self._loop.time()
            self.resume_reading()

    @property
    def is_ending(self) -> bool:
        return self._stopping or (self.half_closed and not self._waiting)

    def _refuse(self, answer: HttpError) -> None:
        """Read no more, and end with this answer after the replies to what came before."""
        host, port = self._names["client"] or ("", 0)
        self._site.refused.tell(f"{host}:{port}", answer.code, answer.message)
        self._deaf = True
        arriving = self._arriving
        if arriving is None or not arriving.arriving:
            scope: Scope = {"method": "GET", "http_version": "1.1", "headers": self._headers}
            self._enqueue(Exchange(self, scope, keep_alive=False, refusal=answer))
        elif arriving.complete:
            self._end()
        else:
            arriving.cut(answer)

    def _end(self) -> None:
        """Close, but not before the client had time to read the reply to what it still sends."""
        self._deaf = True
        self._waiting.clear()
        if self.half_closed or not self._receiving:
            self._transport.close()
            return
        self._transport.write_eof()
        self.resume_reading()
        self._timer.cancel()
        self._timer = self._loop.call_later(_LINGER_S, self.close)

    def shutdown(self) -> None:
        """Take no more requests; end as soon as the one under way is answered."""
        self._stopping = True
        if self._answering is None:
            self._transport.close()

    @property
    def _patience_s(self) -> float:
        return min(self._site.patience_s, KEEP_ALIVE_S)

    def _check_time(self) -> None:
        """End a connection that began a request and fell silent, or that nobody uses."""
        silent = self._loop.time() - self._heard
        waits_long = not self._receiving and not self._is_new
        bound = KEEP_ALIVE_S if waits_long else self._site.patience_s
        wait = self._patience_s
        if self._read_paused or (self._answering is not None and not self._receiving):
            pass  # It is our turn.
        elif silent < bound:
            wait = min(wait, bound - silent)
        elif self._receiving:
            self._refuse(_TOO_SLOW)
            return
        else:
            self._transport.close()
            return
        self._timer = self._loop.call_later(wait, self._check_time)

    # What an exchange needs

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    async def writable(self) -> None:
        await self._writable.wait()

    def pause_reading(self) -> None:
        if not self._read_paused and not self.half_closed:
            self._read_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._read_paused and not self.half_closed:
            self._read_paused = False
            self._transport.resume_reading()

    def close(self) -> None:
        self._transport.close()


def _answer_to(error: httptools.HttpParserError) -> HttpError:
    """What the parser, or we within its callbacks, had against the request."""
    cause = error.__context__
    if isinstance(cause, _Refused):
        return cause.answer
    if isinstance(cause, ApiError):
        return http_error(cause)
    return HttpError(400, "invalid_http", f"the request is not valid HTTP: {error}", {})
