"""The reply lines of a request whose body still arrives.

Many clients read no reply before their whole body is sent. If the body were read only as fast
as replies are taken, such a client and the broker would wait for each other. So replies go out
beside the reading, and those that the client has not taken are held compressed: 1 to 12 bytes a
record.
"""

from __future__ import annotations

import asyncio
from collections import deque

from tidelog.api.http.request_reply import NDJSON, Send, begin_stream, stream
from tidelog.storage.batches.compression import ZSTD, compress, decompress

HELD_BYTES_MAX = 32 * 1024 * 1024
"""The replies to some millions of records."""
_PIECE_BYTES = 128 * 1024


class ReplyLines:
    """One streamed reply; beyond ``held_bytes_max`` of held lines the writer waits."""

    def __init__(self, send: Send, held_bytes_max: int = HELD_BYTES_MAX) -> None:
        self._send = send
        self._held_bytes_max = held_bytes_max
        self._packed: deque[bytes] = deque()
        self.held_bytes = 0
        """Compressed bytes that wait for the client."""
        self._fresh = bytearray()
        """What came after the packed pieces, less than one piece while replies wait."""
        self._room = asyncio.Event()
        self._delivery: asyncio.Task[None] | None = None

    @property
    def begun(self) -> bool:
        """Whether a status is on its way, so that an error can only be told in a line."""
        return self._delivery is not None

    async def put(self, lines: bytes) -> None:
        """Send ``lines`` as soon as the client takes them; waits only for room to hold them."""
        self._fresh += lines
        if self._delivery is None or self._delivery.done():
            await self.sent()  # Raises what the last delivery raised.
            first = self._delivery is None
            self._delivery = asyncio.create_task(self._deliver(first=first))
        else:
            self._pack()
        # Lets the delivery start, and others have their turn in a body that never waits.
        await asyncio.sleep(0)
        while self.held_bytes > self._held_bytes_max and not self._delivery.done():
            self._room.clear()
            await self._room.wait()

    async def sent(self) -> None:
        """Return when all lines are handed to the connection. Raises what sending raised."""
        if self._delivery is not None:
            await self._delivery

    async def end(self) -> None:
        """Complete the reply, after all lines."""
        await self.put(b"")
        await self.sent()
        await stream(self._send, b"", more=False)

    def abandon(self) -> None:
        """Send no more; without effect on what is sent."""
        if self._delivery is not None:
            self._delivery.cancel()

    def _pack(self) -> None:
        while len(self._fresh) >= _PIECE_BYTES:
            packed = compress(ZSTD, self._fresh[:_PIECE_BYTES])
            del self._fresh[:_PIECE_BYTES]
            self._packed.append(packed)
            self.held_bytes += len(packed)

    async def _deliver(self, *, first: bool) -> None:
        try:
            if first:
                await begin_stream(self._send, NDJSON)
            while self._packed or self._fresh:
                await stream(self._send, self._next_piece())
                if self._packed:
                    await asyncio.sleep(0)
        finally:
            self._room.set()

    def _next_piece(self) -> bytes:
        """The oldest lines, not always whole ones."""
        if not self._packed:
            piece = bytes(self._fresh[:_PIECE_BYTES])
            del self._fresh[:_PIECE_BYTES]
            return piece
        packed = self._packed.popleft()
        self.held_bytes -= len(packed)
        self._room.set()
        return bytes(decompress(ZSTD, packed, _PIECE_BYTES))
