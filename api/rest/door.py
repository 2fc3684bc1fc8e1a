"""The outermost layer of the HTTP door: every request passes here first.

It gives each request an id, refuses what a browser must not send, takes the hot routes itself
and hands the others to FastAPI, and turns every exception into the one form of error.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping

from tidelog.api.caller import CALLER, Caller
from tidelog.api.errors import INTERNAL_ERROR, MAY_PASS, ApiError, HttpError, http_error
from tidelog.api.http.browsers import Browsers
from tidelog.api.http.compressing import Compressing, codings_of, varying
from tidelog.api.http.error_body import error_body
from tidelog.api.http.parameters import known_parameters
from tidelog.api.http.proxies import Proxies, below
from tidelog.api.http.request_reply import (
    NO_STORE,
    ClientDisconnected,
    Message,
    Receive,
    Request,
    Scope,
    Send,
    given_request_id,
    reply,
    too_large,
)
from tidelog.api.http.server import is_loopback
from tidelog.api.http.target import path_of, segments
from tidelog.api.measures import Measures
from tidelog.api.rest.administration.framework import Administration
from tidelog.api.rest.context import RestContext
from tidelog.api.rest.probes import Probes
from tidelog.api.rest.records.fetch import Fetch
from tidelog.api.rest.records.pages import Pages
from tidelog.api.rest.records.produce import Produce
from tidelog.api.rest.records.replay import Replay
from tidelog.broker.errors import Loading

_log = logging.getLogger("tidelog.http")
_RECORDS = "/v1/topics/{topic}/records"
_PARTITION_RECORDS = "/v1/topics/{topic}/partitions/{partition}/records"
_PAGES = "/v1/topics/{topic}/{topic_id}/partitions/{partition}/pages/{page}"
_NO_ROUTE = "unmatched"
_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"


class RestDoor:
    """The ASGI application."""

    def __init__(self, context: RestContext) -> None:
        settings = context.broker.settings
        self._broker = context.broker
        self._measures = context.measures
        self._rules = context.rules
        self._probes = Probes(context)
        self._administration = Administration(context)
        self._body_limit: int = settings["http.max.body.bytes"]
        self._produce = Produce(context)
        self._fetch = Fetch(context)
        self._replay = Replay(context)
        self._pages = Pages(context)
        self._on_loopback = all(is_loopback(one.host) for one in context.config.http)
        self._use_settings()
        self._broker.running_settings.listeners.append(self._use_settings)
        self._id_prefix = uuid.uuid4().hex[:12]
        self._count = 0

    def _use_settings(self) -> None:
        settings = self._broker.settings
        self._proxies = Proxies(settings["trusted.proxies"])
        self._browsers = Browsers(settings, self._proxies, on_loopback=self._on_loopback)
        self._vary = (b"Origin",) if self._browsers.answers_vary else ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._rules is not None:
            CALLER.set(Caller(scope["client"][0], ""))
        headers = dict(scope["headers"])
        if b"accept-encoding" in headers and _is_reading(scope):
            send = _compressing(send, scope)
        exchange = _Exchange(send, self._request_id(headers), scope, self._measures)
        exchange.vary = self._vary
        if scope["method"] == "HEAD":
            # Whatever GET answers, without its body.
            exchange.head_only = True
            scope = {**scope, "method": "GET"}
        try:
            prefix = headers.get(b"x-forwarded-prefix")
            if prefix is not None:
                scope = self._below(self._proxies.prefix(scope, prefix), scope, exchange)
            exchange.origin = self._browsers.admit(scope, headers)
            if exchange.origin is not None and scope["method"] == "OPTIONS":
                await self._answer_preflight(exchange)
            else:
                await self._route(scope, receive, exchange)
        except (ClientDisconnected, _HeadIsAll):
            return
        except Exception as error:
            failed = http_error(error)
            if failed.status == 500:
                exchange.tell(failed)
            if exchange.started:
                raise
            await exchange.reply_error(failed)

    def _request_id(self, headers: Mapping[bytes, bytes]) -> bytes:
        given = given_request_id(headers)
        if given is not None:
            return given
        self._count += 1
        return f"{self._id_prefix}-{self._count:x}".encode()

    def _below(self, prefix: bytes, scope: Scope, exchange: _Exchange) -> Scope:
        """The request without the prefix of a proxy, which may have removed it itself."""
        exchange.prefix = prefix
        if prefix:
            # What anybody may have said has to be kept apart by caches.
            exchange.vary = (*exchange.vary, b"X-Forwarded-Prefix")
        path = scope["raw_path"]
        if prefix and (path + b"/").startswith(prefix + b"/"):
            path = path[len(prefix) :] or b"/"
        root = prefix.decode("ascii")
        return {**scope, "root_path": root, "raw_path": path, "path": path.decode("ascii")}

    async def _route(self, scope: Scope, receive: Receive, exchange: _Exchange) -> None:
        """Hot routes are found by the shape of their path."""
        parts = segments(scope["raw_path"])
        method, count = scope["method"], len(parts)
        if count < 5 or parts[1] != "v1" or parts[2] != "topics":
            probe = self._probes.find(scope["path"]) if method == "GET" else None
            if probe is not None:
                exchange.route = scope["path"]
                known_parameters(scope["query_string"], ())
                await probe(exchange.send)
                return
            self._check_recovered()
            await self._administer(scope, parts, receive, exchange)
            return
        self._check_recovered()
        request = Request(scope, receive, self._body_limit)
        send = exchange.send
        if count == 5 and parts[4] == "records" and method == "POST":
            exchange.route = _RECORDS
            await self._produce(request, send, parts[3])
        elif count == 5 and parts[4] == "records" and method == "GET":
            exchange.route = _RECORDS
            await self._replay(request, send, parts[3])
        elif parts[4:5] == ["partitions"] and parts[6:] == ["records"] and method == "GET":
            exchange.route = _PARTITION_RECORDS
            await self._fetch(request, send, parts[3], _number(parts[5], "partition"))
        elif (
            parts[5:6] == ["partitions"]
            and parts[7:8] == ["pages"]
            and count == 9
            and method == "GET"
        ):
            exchange.route = _PAGES
            index, page = _number(parts[6], "partition"), _number(parts[8], "page")
            await self._pages(request, send, parts[3], parts[4], index, page)
        else:
            await self._administer(scope, parts, receive, exchange)

    def _check_recovered(self) -> None:
        """Raises Loading."""
        if self._broker.recovering:
            progress = self._broker.opening.progress
            raise Loading(progress.opened, progress.total)

    async def _administer(
        self, scope: Scope, parts: list[str], receive: Receive, exchange: _Exchange
    ) -> None:
        """FastAPI splits and decodes by itself: it gets each name encoded in one way."""
        if scope["raw_path"] == b"*" and scope["method"] == "OPTIONS":
            await exchange.reply_empty((b"allow", _METHODS))
            return
        if b"%" in scope["raw_path"]:
            scope = {**scope, "path": path_of(*parts[1:])}
        if scope["root_path"]:
            scope = {**scope, "path": scope["root_path"] + scope["path"]}
        exchange.scope = scope
        await self._administration(scope, _bounded(scope, receive, self._body_limit), exchange.send)

    async def _answer_preflight(self, exchange: _Exchange) -> None:
        await exchange.reply_empty(
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", b"*"),
            (b"access-control-max-age", b"600"),
        )


class _HeadIsAll(Exception):
    """The head of a stream was asked for and is sent; its body need not be made."""


class _Exchange:
    """The reply's side of one request: adds the headers that every reply carries."""

    def __init__(self, send: Send, request_id: bytes, scope: Scope, measures: Measures) -> None:
        self._send = send
        self._request_id = request_id
        self._method = scope["method"]
        self._measures = measures
        self._begun_ns = measures.now_ns()
        self.scope = scope
        """As it was handed on: the framework notes in it which route it took."""
        self.route: str | None = None
        self.started = False
        self.head_only = False
        self.vary: tuple[bytes, ...] = ()
        self.prefix = b""
        self.origin: bytes | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self._measure(message["status"])
            headers = [*message.get("headers", ()), (b"x-request-id", self._request_id)]
            if self.origin is not None:
                headers.append((b"access-control-allow-origin", self.origin))
                headers.append((b"access-control-expose-headers", b"*"))
            if self.prefix:
                headers = below(self.prefix, headers)
            if self.vary:
                headers = varying(headers, self.vary)
            message = {**message, "headers": headers}
        await self._send(message)
        if self.head_only and message["type"] == "http.response.start":
            await self._end_stream(message)

    def tell(self, failed: HttpError) -> None:
        """Log a failure of ours, under the id that the client was told."""
        _log.error(
            "%s %s: %s (request %s)",
            *(self._method, self.scope["path"], failed.message, self._shown_id),
            exc_info=failed.code == INTERNAL_ERROR,
            extra={"request_id": self._shown_id},
        )

    @property
    def _shown_id(self) -> str:
        return self._request_id.decode("latin-1")

    def _measure(self, status: int) -> None:
        """By the route, which is one of few, whatever the path."""
        if _log.isEnabledFor(logging.DEBUG):
            took_ms = (self._measures.now_ns() - self._begun_ns) / 1e6
            told = self._method, self.scope["path"], status, took_ms, self._shown_id
            ids = {"request_id": self._shown_id, "status": status}
            _log.debug("%s %s: %d after %.1f ms (request %s)", *told, extra=ids)
        route = self.route
        if route is None and "route" in self.scope:
            route = self.scope["route"].path.replace(":name}", "}")
        name = _NO_ROUTE if route is None else f"{self._method} {route}"
        measured = self._measures.of("http", name)
        measured.times.observe(self._measures.now_ns() - self._begun_ns)
        measured.codes[status] += 1

    async def _end_stream(self, start: Message) -> None:
        """A reply of no known length may have no end."""
        names = {name for name, _ in start["headers"]}
        if start["status"] == 200 and b"content-length" not in names:
            await self._send({"type": "http.response.body", "body": b""})
            raise _HeadIsAll

    async def reply_empty(self, *headers: tuple[bytes, bytes]) -> None:
        """204."""
        start = {"type": "http.response.start", "status": 204, "headers": list(headers)}
        await self.send(start)
        await self.send({"type": "http.response.body", "body": b""})

    async def reply_error(self, failed: HttpError) -> None:
        """The one form of error; a reply to a body that was not read ends the connection."""
        headers = [NO_STORE]
        if failed.status in MAY_PASS:
            headers.append((b"retry-after", b"1"))
        if failed.status == 413:
            headers.append((b"connection", b"close"))
        await reply(self.send, failed.status, error_body(failed), headers=tuple(headers))


def _is_reading(scope: Scope) -> bool:
    """Whether the answer is what the request is for; that of an append is a receipt."""
    return scope["method"] in ("GET", "HEAD") or scope["raw_path"].endswith(b"/poll")


def _compressing(send: Send, scope: Scope) -> Send:
    codings = codings_of([value for name, value in scope["headers"] if name == b"accept-encoding"])
    return Compressing(send, codings).send if codings else send


def _number(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ApiError(422, "invalid_parameter", f"{what} {text!r} is not a number", parameter=what)
    return int(text)


def _bounded(scope: Scope, receive: Receive, limit: int) -> Receive:
    """A ``receive`` that refuses bodies beyond the limit, declared ones before they come."""
    size = 0
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > limit:
            raise too_large(limit)

    async def bounded() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise too_large(limit)
        return message

    return bounded
