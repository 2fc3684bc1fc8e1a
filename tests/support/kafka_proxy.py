"""Stands between a client and a broker and cuts the connection of chosen Produce requests.

Either the broker gets the whole request and the client no answer, or the broker gets half of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from asyncio import IncompleteReadError, StreamReader, StreamWriter

_PRODUCE = b"\x00\x00"


class KafkaProxy:
    """Listens from the start; ``forward_to`` says where the broker is."""

    def __init__(self) -> None:
        self.cuts = 0
        """How many connections were cut since the plan was made."""
        self._plan: frozenset[int] = frozenset()
        self._requests = 0
        self._broker = ("", 0)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        ).result()
        host, port = self._server.sockets[0].getsockname()
        self.address = f"{host}:{port}"

    def forward_to(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._broker = (host, int(port))

    def plan(self, *numbers: int) -> None:
        """Cut at the Produce requests of these numbers, counted from 1 and from now on."""
        self._plan, self._requests, self.cuts = frozenset(numbers), 0, 0

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _serve(self, client: StreamReader, to_client: StreamWriter) -> None:
        broker, to_broker = await asyncio.open_connection(*self._broker)
        unanswered: set[bytes] = set()
        pumps = [
            asyncio.ensure_future(self._requests_of(client, to_broker, unanswered)),
            asyncio.ensure_future(self._answers_of(broker, to_client, unanswered)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for writer in (to_client, to_broker):
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def _requests_of(
        self, client: StreamReader, to_broker: StreamWriter, unanswered: set[bytes]
    ) -> None:
        while frame := await _read_frame(client):
            if frame[4:6] == _PRODUCE:
                self._requests += 1
                if self._requests in self._plan:
                    self.cuts += 1
                    if self.cuts % 2:
                        unanswered.add(frame[8:12])
                    else:
                        to_broker.write(frame[: len(frame) // 2])
                        await to_broker.drain()
                        return
            to_broker.write(frame)
            await to_broker.drain()

    async def _answers_of(
        self, broker: StreamReader, to_client: StreamWriter, unanswered: set[bytes]
    ) -> None:
        while frame := await _read_frame(broker):
            if frame[4:8] in unanswered:
                return
            to_client.write(frame)
            await to_client.drain()


async def _read_frame(reader: StreamReader) -> bytes:
    """A frame with its length; nothing when the connection is closed."""
    try:
        length = await reader.readexactly(4)
        return length + await reader.readexactly(int.from_bytes(length, "big"))
    except (IncompleteReadError, ConnectionError):
        return b""
