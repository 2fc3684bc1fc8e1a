"""What a connection has still to send, in order: bytes, and slices of files that nobody reads.

Bytes go through the transport, a slice from the page cache to the socket without being copied.
The two never overtake each other: a slice is begun when the transport has nothing left. Where
the socket takes no more, or the disk would have to be waited for, the next piece of the slice
goes through the transport as well, which tells when it is sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor

from tidelog.api.kafka.wire.framing import Buffer, Part
from tidelog.storage.buffers import StoredBytes

_JOINED_BYTES_MAX = 16 * 1024
_TURN_BYTES = 1024 * 1024
_PIECE_BYTES = 64 * 1024
_log = logging.getLogger("tidelog.kafka")


class Outbox:
    """The sending side of ``transport``; ``readers`` are threads that may wait for the disk.

    ``on_empty`` is called when a later turn has given the transport everything.
    """

    def __init__(
        self, transport: asyncio.Transport, readers: Executor, on_empty: Callable[[], None]
    ) -> None:
        self._transport = transport
        self._readers = readers
        self._on_empty = on_empty
        self._loop = asyncio.get_running_loop()
        self._endpoint: int = transport.get_extra_info("socket").fileno()
        self._parts: deque[Part] = deque()
        self._sent = 0
        """Of the slice that comes first."""
        self._turn: asyncio.Handle | None = None
        self._is_reading = False
        self._is_exact = False
        """Whether the transport tells when it has sent everything, not only most of it."""
        self._is_closing = False

    @property
    def is_empty(self) -> bool:
        """Whether the transport has been given everything."""
        return not self._parts

    def send(self, parts: Iterable[Part]) -> None:
        """Send after what came before."""
        self._parts += parts
        self.go_on()

    def go_on(self) -> None:
        """Send what can be sent now; to be called when the transport has room again."""
        parts, taken = self._parts, 0
        while parts and not (self._is_reading or self._turn or self._transport.is_closing()):
            part = parts[0]
            if not isinstance(part, StoredBytes):
                self._send_bytes()
            elif self._transport.get_write_buffer_size():
                self._be_exact()
                return
            elif taken < _TURN_BYTES:
                taken += self._send_slice(part)
            else:
                self._turn = self._loop.call_soon(self._take_turn)
        if not parts:
            self._finish()

    def _take_turn(self) -> None:
        self._turn = None
        self.go_on()
        if not self._parts:
            self._on_empty()

    def _finish(self) -> None:
        if self._is_exact and not self._transport.is_closing():
            self._is_exact = False
            self._transport.set_write_buffer_limits()
        if self._is_closing:
            self._transport.close()

    def _be_exact(self) -> None:
        if not self._is_exact:
            self._is_exact = True
            self._transport.set_write_buffer_limits(high=0)

    def _send_bytes(self) -> None:
        """Give the transport what comes before the next slice."""
        parts = self._parts
        run: list[Buffer] = []
        while parts and not isinstance(part := parts[0], StoredBytes):
            run.append(part)
            parts.popleft()
        if len(run) == 1:
            self._transport.write(run[0])
        elif sum(map(len, run)) <= _JOINED_BYTES_MAX:
            self._transport.write(b"".join(run))
        else:
            self._transport.writelines(run)

    def _send_slice(self, part: StoredBytes) -> int:
        """Send of the first slice what goes at once."""
        try:
            sent = part.send_now(self._endpoint, self._sent, _TURN_BYTES)
        except BlockingIOError:
            return self._send_piece(part)
        except OSError as error:
            self._fail(error)
            return 0
        return self._note_sent(sent)

    def _send_piece(self, part: StoredBytes) -> int:
        """Send some of the first slice through the transport."""
        self._be_exact()
        try:
            piece = part.read_now(self._sent, _PIECE_BYTES)
        except BlockingIOError:
            self._is_reading = True
            work = self._loop.run_in_executor(self._readers, part.read, self._sent, _TURN_BYTES)
            work.add_done_callback(self._piece_read)
            return 0
        self._transport.write(piece)
        return self._note_sent(len(piece))

    def _piece_read(self, work: asyncio.Future[Buffer]) -> None:
        self._is_reading = False
        if work.cancelled() or self._transport.is_closing():
            return
        error = work.exception()
        if error is not None:
            self._fail(error)
            return
        self._transport.write(work.result())
        self._note_sent(len(work.result()))
        self._take_turn()

    def _note_sent(self, size: int) -> int:
        self._sent += size
        if self._sent == len(self._parts[0]):
            self._parts.popleft()
            self._sent = 0
        elif not size:
            self._fail(EOFError("the file ends before the batches in it"))
        return size

    def _fail(self, error: BaseException) -> None:
        """The client is owed bytes that it cannot have: all that is left is to cut it off."""
        if not isinstance(error, ConnectionError):
            _log.error("an answer could not be sent to its end: %r; closing", error)
        self._transport.abort()

    def close(self) -> None:
        """Close when everything is sent."""
        self._is_closing = True
        if not self._parts:
            self._transport.close()

    def drop(self) -> None:
        """Forget what is unsent: the connection is gone."""
        self._parts.clear()
        if self._turn is not None:
            self._turn.cancel()
