"""From a frame to a reply: find the API, decode, call its handler, encode.

A handler is a function that answers with a dict, or a coroutine function. Produce reads its
request in place, because its records must not be copied; all others get kio's entity.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from tidelog.api.caller import NOBODY, Access, Caller, Rules
from tidelog.api.kafka.api_table import APIS
from tidelog.api.kafka.peer import Call, Peer
from tidelog.api.kafka.wire.apis import Api, handler, message_class
from tidelog.api.kafka.wire.decoding import request_decoder
from tidelog.api.kafka.wire.encoding import Output, Values, Write, writer
from tidelog.api.kafka.wire.framing import (
    Part,
    ProtocolError,
    RequestHeader,
    finish,
    read_header,
    response_head,
    skip_tags,
)
from tidelog.api.measures import Measured, Measures
from tidelog.api.refusals import Refusals
from tidelog.broker.broker import Broker
from tidelog.consumer_groups.coordinator import Coordinator

_API_VERSIONS = 18
_log = logging.getLogger("tidelog.kafka")


class Reply:
    """What a connection sends for a request, once ``done``; ``broken``: close instead.

    Before one that is ``alone`` is done, the connection begins no other request.
    """

    __slots__ = ("_listener", "_task", "alone", "broken", "done", "parts")

    def __init__(self, *, alone: bool = False) -> None:
        self.alone = alone
        self.done = False
        self.broken = False
        self.parts: list[Part] = []
        self._task: asyncio.Task[Values | None] | None = None
        self._listener: Callable[[], None] | None = None

    def on_done(self, listener: Callable[[], None]) -> None:
        self._listener = listener

    def fill(self, parts: list[Part]) -> None:
        self.parts = parts
        self._finish()

    def fail(self) -> None:
        self.broken = True
        self._finish()

    def _finish(self) -> None:
        self.done = True
        if self._listener is not None:
            self._listener()

    def follow(self, task: asyncio.Task[Values | None]) -> None:
        self._task = task

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self._listener = None
        if self._task is not None:
            self._task.cancel()


class Route(NamedTuple):
    """How one version of an API is served."""

    api: Api
    handle: Callable[..., Any]
    read: Callable[[memoryview, int], Any] | None
    """Decodes the request; None where the handler reads it in place."""
    write: Write
    flexible_request: bool
    flexible_response: bool
    alone: bool
    measured: Measured

    @classmethod
    def of(cls, api: Api, version: int, measured: Measured) -> Route:
        flexible = api.is_flexible(version)
        return cls(
            api,
            handler(api.name),
            None if api.reads_frame else request_decoder(api.name, version),
            writer(message_class(api.name, version, "response")),
            flexible,
            flexible and api.flexible_head,
            api.alone,
            measured,
        )

    def encode(self, correlation_id: int, values: Values | None) -> list[Part]:
        """The response's frame; nothing for None, a request that gets no answer (acks=0)."""
        if values is None:
            return []
        out = Output(response_head(correlation_id, flexible=self.flexible_response))
        self.write(out, values)
        if out.errors:
            self.measured.codes.update(out.errors)
        return finish(out.finished())


class Dispatcher:
    """Begins requests; knows nothing of sockets."""

    def __init__(
        self,
        broker: Broker,
        coordinator: Coordinator,
        measures: Measures | None = None,
        rules: Rules | None = None,
    ) -> None:
        self._broker = broker
        self._coordinator = coordinator
        self._rules = rules
        self._everything = Access(broker, NOBODY, None)
        self._measures = measures or Measures()
        self._now_ns = self._measures.now_ns
        self.refused = Refusals(_log, what="requests", outcome="")
        self._routes: dict[tuple[int, int], Route] = {}

    def begin(self, frame: memoryview, peer: Peer) -> Reply:
        """Decode and begin one request. Raises ProtocolError where Kafka closes, too."""
        begun_ns = self._now_ns()
        header = read_header(frame)
        _, version, correlation_id, client_id, position = header
        route = self._routes.get(header[:2]) or self._find(header)
        if route is None:
            return self._explain_versions(header, peer)
        if route.flexible_request:
            position = skip_tags(frame, position)
        call = self._call(version, client_id, peer)
        request = None if route.read is None else route.read(frame, position)
        reply = Reply(alone=route.alone)
        try:
            if request is None:
                answer = route.handle(call, frame, position)
            else:
                answer = route.handle(call, request)
            if inspect.iscoroutine(answer):
                self._follow(reply, route, correlation_id, begun_ns, answer)
            else:
                reply.fill(route.encode(correlation_id, answer))
                route.measured.times.observe(self._now_ns() - begun_ns)
        except ProtocolError:
            raise
        except Exception:
            _log.exception("%s failed", route.api.name)
            reply.fail()
        return reply

    def _call(self, version: int, client_id: str | None, peer: Peer) -> Call:
        broker, coordinator = self._broker, self._coordinator
        client_id = client_id or ""
        access = self._everything
        if self._rules is not None:
            access = Access(broker, Caller(peer.host, client_id), self._rules)
        return Call(broker, coordinator, version, client_id, peer, access, self.refused)

    def _find(self, header: RequestHeader) -> Route | None:
        """The route of a first request of its kind; None for ApiVersions of another version.

        Raises ProtocolError for what is not served.
        """
        api = APIS.get(header.api_key)
        if api is None:
            raise ProtocolError("the API is not served", f"key {header.api_key}")
        version = header.api_version
        if api.serves(version):
            route = self._routes[header[:2]] = self._route(api, version)
            return route
        if api.key == _API_VERSIONS:
            return None
        raise ProtocolError("the version is not served", f"{version} of {api.name}")

    def _route(self, api: Api, version: int) -> Route:
        return Route.of(api, version, self._measures.of("kafka", api.camel_case))

    def _explain_versions(self, header: RequestHeader, peer: Peer) -> Reply:
        """KIP-511: ApiVersions of an unknown version is answered in version 0, with the list."""
        route = self._route(APIS[_API_VERSIONS], 0)
        call = self._call(header.api_version, header.client_id, peer)
        reply = Reply()
        reply.fill(route.encode(header.correlation_id, route.handle(call, None)))
        return reply

    def _follow(
        self,
        reply: Reply,
        route: Route,
        correlation_id: int,
        begun_ns: int,
        answer: Coroutine[Any, Any, Values | None],
    ) -> None:
        task = asyncio.get_running_loop().create_task(answer)
        reply.follow(task)

        def finish_reply(task: asyncio.Task[Values | None]) -> None:
            if task.cancelled():
                reply.fail()
            elif (error := task.exception()) is not None:
                _log.error("%s failed", route.api.name, exc_info=error)
                reply.fail()
            else:
                reply.fill(route.encode(correlation_id, task.result()))
                route.measured.times.observe(self._now_ns() - begun_ns)

        task.add_done_callback(finish_reply)
