"""Server-sent events: records as they come, until the client goes or the broker stops.

The id of an event is the record's position; a client that comes back with it as
``Last-Event-ID`` goes on after it. Comments keep idle connections open. What cannot be read, and
the deletion of the topic, ends the stream with an event ``error``, or where it is the first that
would be sent with an answer that browsers do not ask for again; what is passed is told in events
``skipped``. Both have no id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from tidelog.api.errors import http_error
from tidelog.api.http.error_body import error_body
from tidelog.api.http.request_reply import EVENT_STREAM, Request, Send, begin_stream, stream
from tidelog.api.rest.context import RestContext
from tidelog.api.rest.records.rendering import render_records, skipped_line
from tidelog.broker.errors import BrokerError
from tidelog.broker.partition import Partition
from tidelog.broker.records.reading import read_records
from tidelog.broker.waiting import DataWaiter
from tidelog.storage.errors import OffsetOutOfRange, StorageError, UnreadableBatch

if TYPE_CHECKING:
    from tidelog.api.rest.records.fetch import FetchOptions

_RECORDS, _BYTES = 1000, 256 * 1024


class EventStream:
    """One open stream; the client or a stop of the broker ends it."""

    def __init__(self, request: Request, send: Send, context: RestContext) -> None:
        self._request = request
        self._send = send
        self._stopping = context.stopping
        self._heartbeat_ms: int = context.broker.settings["http.heartbeat.interval.ms"]
        self.gone = False
        self._begun = False
        self._waiters: set[DataWaiter] = set()

    async def tail(self, partition: Partition, offset: int, options: FetchOptions) -> None:
        """Send what is there from ``offset`` on, then what comes."""
        skipped, left = options.skipped(), options.stream_records_max

        async def run() -> None:
            nonlocal offset, left
            with DataWaiter() as waiter:
                waiter.watch(partition)
                while not self.gone and left > 0:
                    waiter.rearm()
                    partition.check_not_deleted()
                    before = offset = max(offset, partition.start_offset)
                    wanted = int(min(left, _RECORDS))
                    try:
                        records, offset = await read_records(
                            partition, offset, wanted, _BYTES, skipped
                        )
                    except OffsetOutOfRange:
                        partition.check_not_deleted()
                        if offset < partition.start_offset:
                            continue  # Retention went past it just now.
                        raise
                    lines = render_records(records, options.mode)
                    ids = [b"%d" % record.offset for record in records]
                    await self.send_events(ids, lines)
                    await self.send_skipped(skipped)
                    left -= len(records)
                    if offset == before:
                        await self.wait(waiter)

        await self.run(run)

    async def run(self, body: Callable[[], Awaitable[None]]) -> None:
        """Run ``body`` until the end of the stream. Raises what it raises before its start."""
        watcher = asyncio.ensure_future(self._watch())
        try:
            await body()
            await self._stream(b"", more=False)
        except (BrokerError, StorageError) as error:
            if not self._begun:
                raise
            event = b"event: error\ndata: %b\n\n" % error_body(http_error(error))
            await self._stream(event, more=False)
        finally:
            watcher.cancel()

    async def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            await begin_stream(self._send, EVENT_STREAM)

    async def _stream(self, content: bytes, *, more: bool = True) -> None:
        await self._begin()
        await stream(self._send, content, more=more)

    async def _watch(self) -> None:
        """Notice the end from either side and end every wait."""
        ends = [
            asyncio.ensure_future(self._request.disconnected()),
            asyncio.ensure_future(self._stopping.wait()),
        ]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
        self.gone = True
        for waiter in self._waiters:
            waiter.wake()

    async def wait(self, waiter: DataWaiter) -> None:
        """Until there is more; keeps the connection alive meanwhile."""
        self._waiters.add(waiter)
        try:
            await self._begin()
            while not self.gone and not await waiter.wait(self._heartbeat_ms):
                await self._stream(b": heartbeat\n\n")
        finally:
            self._waiters.discard(waiter)

    async def pause(self, waiter: DataWaiter, delay_ms: float) -> None:
        """For so long, or until ``waiter`` is woken; keeps the connection alive meanwhile."""
        self._waiters.add(waiter)
        try:
            while delay_ms > 0 and not self.gone:
                step_ms = min(delay_ms, self._heartbeat_ms)
                if await waiter.wait(step_ms):
                    return
                delay_ms -= step_ms
                if delay_ms > 0:
                    await self._stream(b": heartbeat\n\n")
        finally:
            self._waiters.discard(waiter)

    async def send_events(self, ids: Sequence[bytes], lines: Sequence[bytes]) -> None:
        """One event for each line."""
        if lines and not self.gone:
            events = [b"id: %b\ndata: %b\n\n" % pair for pair in zip(ids, lines, strict=True)]
            await self._stream(b"".join(events))

    async def send_skipped(self, skipped: list[UnreadableBatch] | None) -> None:
        """One event for what was ``skipped``, which is emptied."""
        if skipped and not self.gone:
            event = b"event: skipped\ndata: %b\n\n" % skipped_line(skipped)
            skipped.clear()
            await self._stream(event)
