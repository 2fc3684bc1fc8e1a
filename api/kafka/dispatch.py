"""From a frame to a reply: find the API, decode, call its handler, encode.

A handler is a function that answers with a dict, or a coroutine function. Produce reads its
request in place, because its records must not be copied; all others get kio's entity.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from tidelog.api.config import Address
from tidelog.api.kafka.apis import APIS, Api, handler, message_class, request_reader
from tidelog.api.kafka.encoding import Output, Values, writer
from tidelog.api.kafka.framing import (
    Buffer,
    ProtocolError,
    RequestHeader,
    finish,
    read_header,
    response_head,
    skip_tags,
)
from tidelog.api.kafka.peer import Call, Peer
from tidelog.broker.broker import Broker
from tidelog.consumer_groups.coordinator import Coordinator

_API_VERSIONS = 18
_PRODUCE = 0
_log = logging.getLogger("tidelog.kafka")


class Reply:
    """What a connection sends for a request, once ``done``; ``broken``: close instead."""

    def __init__(self) -> None:
        self.done = False
        self.broken = False
        self.parts: list[Buffer] = []
        self._task: asyncio.Task[Values | None] | None = None
        self._listener: Callable[[], None] | None = None

    def on_done(self, listener: Callable[[], None]) -> None:
        self._listener = listener

    def fill(self, parts: list[Buffer]) -> None:
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


class Dispatcher:
    """Begins requests; knows nothing of sockets."""

    def __init__(
        self, broker: Broker, coordinator: Coordinator, advertised: Address | None
    ) -> None:
        self._broker = broker
        self._coordinator = coordinator
        self._advertised = advertised

    def begin(self, frame: memoryview, peer: Peer) -> Reply:
        """Decode and begin one request. Raises ProtocolError where Kafka closes, too."""
        header = read_header(frame)
        api = APIS.get(header.api_key)
        if api is None:
            raise ProtocolError(f"api key {header.api_key} is not served")
        version = header.api_version
        if not api.serves(version):
            return self._unsupported(api, header, peer)
        position = header.size
        if api.is_flexible(version):
            position = skip_tags(frame, position)
        call = self._call(header, peer)
        request = () if api.key == _PRODUCE else _decode(api, version, frame, position)
        reply = Reply()
        try:
            if api.key == _PRODUCE:
                answer = handler(api.name)(call, frame, position)
            else:
                answer = handler(api.name)(call, request)
            if inspect.iscoroutine(answer):
                self._follow(reply, api, header, answer)
            else:
                _fill(reply, api, header, version, answer)
        except ProtocolError:
            raise
        except Exception:
            _log.exception("%s failed", api.name)
            reply.fail()
        return reply

    def _call(self, header: RequestHeader, peer: Peer) -> Call:
        return Call(
            self._broker,
            self._coordinator,
            header.api_version,
            header.client_id or "",
            peer,
            self._advertised or peer.local,
        )

    def _unsupported(self, api: Api, header: RequestHeader, peer: Peer) -> Reply:
        """KIP-511: ApiVersions of an unknown version is answered in version 0, with the list."""
        if api.key != _API_VERSIONS:
            if api.advertised_min is not None and header.api_version < api.min_version:
                raise ProtocolError(f"{api.name} version {header.api_version} is too old")
            raise ProtocolError(f"{api.name} version {header.api_version} is not served")
        reply = Reply()
        answer = handler(api.name)(self._call(header, peer), None)
        _fill(reply, api, header, 0, answer)
        return reply

    def _follow(
        self,
        reply: Reply,
        api: Api,
        header: RequestHeader,
        answer: Coroutine[Any, Any, Values | None],
    ) -> None:
        task = asyncio.get_running_loop().create_task(answer)
        reply.follow(task)

        def finish_reply(task: asyncio.Task[Values | None]) -> None:
            if task.cancelled():
                reply.fail()
            elif (error := task.exception()) is not None:
                _log.error("%s failed", api.name, exc_info=error)
                reply.fail()
            else:
                _fill(reply, api, header, header.api_version, task.result())

        task.add_done_callback(finish_reply)


def _decode(api: Api, version: int, frame: memoryview, position: int) -> Any:
    """The request's entity. Raises ProtocolError for bytes that are none."""
    try:
        entity, _ = request_reader(api.name, version)(bytes(frame[position:]), 0)
    except Exception as error:
        raise ProtocolError(f"{api.name} version {version}: {error!r}") from error
    return entity


def _fill(
    reply: Reply, api: Api, header: RequestHeader, version: int, values: Values | None
) -> None:
    """Encode; None means that the request gets no answer (acks=0)."""
    if values is None:
        reply.fill([])
        return
    flexible = api.is_flexible(version) and api.key != _API_VERSIONS
    out = Output(response_head(header.correlation_id, flexible=flexible))
    writer(message_class(api.name, version, "response"))(out, values)
    reply.fill(finish(out.finished()))
