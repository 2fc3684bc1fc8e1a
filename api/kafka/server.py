"""The TCP side of the Kafka protocol: frames in, responses out in the order of the requests.

A connection owns memory only while a frame is incomplete: whole frames are handled where the
event loop has put them. Requests are begun as they arrive and answered in order. A connection
that sends many at once takes turns with the others, and one whose replies are not ready, or not
taken, is not read on: what has come of its next requests is set aside until then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections import deque
from collections.abc import Iterator
from typing import cast

from tidelog.api.address import Address
from tidelog.api.caller import Rules
from tidelog.api.kafka.dispatch import Dispatcher, Reply
from tidelog.api.kafka.outbox import Outbox
from tidelog.api.kafka.peer import Peer
from tidelog.api.kafka.wire.framing import LENGTH_SIZE, Part, ProtocolError, frame_size
from tidelog.api.listening import listen, plain_address
from tidelog.api.measures import Measures
from tidelog.api.refusals import Refusals
from tidelog.broker.broker import Broker
from tidelog.consumer_groups.coordinator import Coordinator

_log = logging.getLogger("tidelog.kafka")
_NO_LINGER = struct.pack("ii", 1, 0)
_SCRATCH_BYTES = 256 * 1024
_UNDER_WAY_MAX = 64
_TURN_REQUESTS = 128
_LARGE_REPLY_BYTES = 64 * 1024
_SPARE_BYTES_MAX = 4 * 1024 * 1024
_SPARES_MAX = 4
_FIRST_ROOM_BYTES = 1024 * 1024


class KafkaServer:
    """Listens on one address or more."""

    def __init__(
        self,
        broker: Broker,
        coordinator: Coordinator,
        measures: Measures,
        *,
        advertised: Iterator[Address | None],
        rules: Rules | None = None,
    ) -> None:
        """``advertised`` is what clients of each address are told, None: what they used."""
        settings = broker.settings
        self.readers = broker.readers
        self.dispatcher = Dispatcher(broker, coordinator, measures, rules)
        self.frame_limit: int = settings["socket.request.max.bytes"]
        self.idle_s: float = settings["connections.max.idle.ms"] / 1000
        self._broker = broker
        self.connections: set[Connection] = set()
        measures.connections["kafka"] = lambda: len(self.connections)
        self.refused = Refusals(_log)
        self.scratch = memoryview(bytearray(_SCRATCH_BYTES))
        self._spares: list[bytearray] = []
        self._advertised = advertised
        self._servers: list[asyncio.Server] = []

    async def listen(self, address: Address, *, only_ipv6: bool = False) -> Address:
        """Take an address, and say which it is; connections are refused still. Raises OSError."""
        advertised = next(self._advertised)
        taken, servers = await listen(
            *(address, lambda: Connection(self, advertised)),
            only_ipv6=only_ipv6,
            backlog=1024,
            serving=False,
        )
        self._servers += servers
        return taken

    async def serve(self) -> None:
        """Begin to listen."""
        for server in self._servers:
            await server.start_serving()

    def admits(self, address: str) -> bool:
        """Whether one more connection from an address is within the limits."""
        settings = self._broker.settings
        most: int = settings["max.connections"]
        most_per_address: int = settings["max.connections.per.ip"]
        if len(self.connections) >= most:
            return False
        if most_per_address >= most:
            return True
        same = sum(connection.peer.host == address for connection in self.connections)
        return same < most_per_address

    def borrow(self, size: int) -> bytearray:
        """A buffer of at least ``size`` bytes; used ones save the cost of fresh memory."""
        for number, spare in enumerate(self._spares):
            if size <= len(spare) <= 4 * size:
                return self._spares.pop(number)
        return bytearray(size)

    def give_back(self, buffer: bytearray) -> None:
        """Keep a few buffers for the next large frames."""
        if len(buffer) <= _SPARE_BYTES_MAX and len(self._spares) < _SPARES_MAX:
            self._spares.append(buffer)

    async def stop(self, grace_ms: int) -> int:
        """Answer what is under way, then close; how many connections were cut off."""
        for server in self._servers:
            server.close()
        for connection in list(self.connections):
            connection.drain()
        waits = [connection.closed for connection in self.connections]
        if waits:
            await asyncio.wait(waits, timeout=grace_ms / 1000)
        late = list(self.connections)
        for connection in late:
            connection.abort()
        self.refused.end_minute()
        self.dispatcher.refused.end_minute()
        return len(late)


class Connection(asyncio.BufferedProtocol):
    """One client; reads stop while too much is under way or unsent."""

    def __init__(self, server: KafkaServer, advertised: Address | None) -> None:
        self._server = server
        self._advertised = advertised
        self._loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._outbox: Outbox | None = None
        nowhere = Address("", 0)
        self.peer = Peer("", "", nowhere, nowhere)
        # The frame being received, while it is not whole.
        self._frame: bytearray | None = None
        self._frame_bytes = 0
        self._filled = 0
        # Whole requests that have to wait for their turn.
        self._aside: memoryview | None = None
        self._turn: asyncio.Handle | None = None
        # Replies in the order of their requests.
        self._pending: deque[Reply] = deque()
        self._draining = False
        self._writable = True
        self._reading = True
        self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # Connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class of asyncio.
        self._transport = cast(asyncio.Transport, transport)
        self._outbox = Outbox(self._transport, self._server.readers, self._adjust_reading)
        peer, local = (plain_address(transport, name) for name in ("peername", "sockname"))
        host = peer.host
        self.peer = Peer(host, str(peer), local, self._advertised or local)
        # A client whose machine is gone never says so.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if not self._server.admits(host):
            self._server.refused.tell(self.peer.address, "there are too many connections")
            transport.close()
            return
        self._server.connections.add(self)
        _log.debug("%s has connected", self.peer.address)
        self._heard = self._loop.time()
        self._timer = self._loop.call_later(self._server.idle_s, self._check_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        _log.debug("%s has gone: %s", self.peer.address, exc or "the connection was closed")
        if self._timer is not None:
            self._timer.cancel()
        if self._turn is not None:
            self._turn.cancel()
        for reply in self._pending:
            reply.cancel()
        self._pending.clear()
        if self._outbox is not None:
            self._outbox.drop()
        self._frame = self._aside = None
        if not self.closed.done():
            self.closed.set_result(None)

    def _check_idle(self) -> None:
        """Close what has been silent for too long; whoever waits for an answer is not idle."""
        assert self._transport is not None
        now = self._loop.time()
        if self._pending and not self._transport.is_closing():
            self._heard = now
        silent = now - self._heard
        if silent >= self._server.idle_s:
            if self._draining or self._transport.is_closing():
                # What is unsent does not go away by itself: the client has stopped reading.
                self.abort()
                return
            self._close()
            self._heard = now
            silent = 0.0
        self._timer = self._loop.call_later(self._server.idle_s - silent, self._check_idle)

    def drain(self) -> None:
        """Take no more requests; close when all are answered."""
        self._draining = True
        if not self._pending:
            self._close()

    def abort(self) -> None:
        """Close at once; what is unsent is dropped, by the system too."""
        if self._transport is not None:
            endpoint = self._transport.get_extra_info("socket")
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self._transport.abort()

    def _close(self) -> None:
        self._draining = True
        if self._outbox is not None:
            self._outbox.close()

    # Receiving

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._frame is None:
            return self._server.scratch
        end = min(self._frame_bytes, len(self._frame))
        return memoryview(self._frame)[self._filled : end]

    def buffer_updated(self, nbytes: int) -> None:
        self._heard = self._loop.time()
        try:
            if self._frame is None:
                self._take(self._server.scratch[:nbytes])
            else:
                self._filled += nbytes
                self._take_own()
        except ProtocolError as error:
            self._refuse(error)

    def _refuse(self, error: ProtocolError) -> None:
        self._server.refused.tell(self.peer.address, error.reason, error.detail)
        self._close()

    def _take(self, data: memoryview) -> None:
        """Handle the whole frames in ``data``, keep the start of the last one."""
        position, end = 0, len(data)
        limit = self._server.frame_limit
        pending = self._pending
        try:
            for _ in range(_TURN_REQUESTS):
                if position == end:
                    return
                size = frame_size(data, position, end - position, limit)
                if size is None or position + size > end:
                    self._keep(data[position:], size)
                    return
                if len(pending) >= _UNDER_WAY_MAX:
                    self._send_ready()
                if not self._has_room:
                    break
                self._begin(data[position + LENGTH_SIZE : position + size])
                position += size
            if position < end:
                # The scratch is written over by the next read of any connection.
                is_own = data.obj is not self._server.scratch.obj
                self._aside = data[position:] if is_own else memoryview(bytearray(data[position:]))
        finally:
            self._send_ready()

    def _take_turn(self) -> None:
        """Go on with the requests that were set aside."""
        data, self._aside, self._turn = self._aside, None, None
        if data is None or self._transport is None or self._transport.is_closing():
            return
        try:
            self._take(data)
        except ProtocolError as error:
            self._refuse(error)

    def _keep(self, data: memoryview, size: int | None) -> None:
        """Own what has come of an incomplete frame; ``size`` None: not even its length."""
        wanted = LENGTH_SIZE if size is None else size
        # A length is only a claim: memory follows what has really come.
        self._frame = self._server.borrow(min(wanted, max(2 * len(data), _FIRST_ROOM_BYTES)))
        self._frame_bytes = wanted
        self._frame[: len(data)] = data
        self._filled = len(data)

    def _take_own(self) -> None:
        frame = self._frame
        assert frame is not None
        view = memoryview(frame)
        if self._filled < self._frame_bytes:
            if self._filled == len(frame):
                self._keep(view, self._frame_bytes)
                self._server.give_back(frame)
            return
        size = frame_size(view, 0, self._filled, self._server.frame_limit)
        assert size is not None
        if size > self._filled:
            self._keep(view[: self._filled], size)
            return
        self._frame = None
        try:
            self._begin(view[LENGTH_SIZE:size])
            self._send_ready()
        finally:
            view.release()
            self._server.give_back(frame)

    # Answering

    def _begin(self, frame: memoryview) -> None:
        """Begin a request. The frame's memory is used again as soon as this returns."""
        if self._draining:
            return
        reply = self._server.dispatcher.begin(frame, self.peer)
        self._pending.append(reply)
        if not reply.done:
            reply.on_done(self._send_ready)
        elif len(reply.parts) > 1 and sum(map(len, reply.parts)) > _LARGE_REPLY_BYTES:
            self._send_ready()

    def _send_ready(self) -> None:
        """Send the replies that are ready, in order."""
        pending, transport, outbox = self._pending, self._transport, self._outbox
        if transport is None or outbox is None or transport.is_closing():
            return
        out: list[Part] = []
        while pending and pending[0].done:
            reply = pending.popleft()
            if reply.broken:
                outbox.send(out)
                self._close()
                return
            out += reply.parts
        outbox.send(out)
        if self._draining and not pending:
            self._close()
        self._adjust_reading()

    def pause_writing(self) -> None:
        self._writable = False
        self._adjust_reading()

    def resume_writing(self) -> None:
        self._writable = True
        if self._outbox is not None:
            self._outbox.go_on()
        self._adjust_reading()

    @property
    def _has_room(self) -> bool:
        pending = self._pending
        if pending and pending[-1].alone and not pending[-1].done:
            return False
        is_sent = self._writable and (self._outbox is None or self._outbox.is_empty)
        return is_sent and len(pending) < _UNDER_WAY_MAX

    def _adjust_reading(self) -> None:
        has_room = self._has_room
        if has_room and self._aside is not None and self._turn is None:
            self._turn = self._loop.call_soon(self._take_turn)
        wanted = has_room and self._aside is None
        if wanted == self._reading or self._transport is None:
            return
        self._reading = wanted
        with contextlib.suppress(RuntimeError):
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()
