"""``GET /v1/topics/{topic}/records``: all partitions at once, merged by timestamp.

One opaque cursor says how far each partition has been read. ``from`` and ``to`` bound the
replay in time; ``speed`` makes a stream go at the pace at which the records were written.
"""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import math
import re
from collections import deque
from typing import NamedTuple

import msgspec

from tidelog.api.caller import READ
from tidelog.api.errors import ApiError
from tidelog.api.http.request_reply import EVENT_STREAM, JSON, NDJSON, Request, Send, reply
from tidelog.api.rest.context import RestContext
from tidelog.api.rest.records.event_stream import EventStream
from tidelog.api.rest.records.fetch import READING, FetchOptions, fetch_options
from tidelog.api.rest.records.line_stream import LineStream
from tidelog.api.rest.records.offset_spec import offset_at, resolve_offset, time_parameter
from tidelog.api.rest.records.rendering import (
    encode_json,
    render_records,
    skipped_field,
    with_partition,
)
from tidelog.broker.broker import Broker
from tidelog.broker.errors import BrokerError
from tidelog.broker.partition import Partition
from tidelog.broker.records.reading import read_records
from tidelog.broker.topic import Topic
from tidelog.broker.waiting import DataWaiter
from tidelog.storage.batches.record import Record
from tidelog.storage.errors import StorageError, UnreadableBatch

_QUERY = frozenset(("cursor", "from", "to", "speed", "offset", *READING))
_BUFFERED_RECORDS, _BUFFERED_BYTES = 1000, 128 * 1024
_FORMS = (JSON, NDJSON, EVENT_STREAM)
_STREAM_RECORDS = 500
_SPEED = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?x?")
_SPEED_MAX = 1_000_000
_NEVER = 2**62
"""More bytes than arrive: a waiter for so many is only woken by an end."""


class _Cursor(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    topic_id: str
    offsets: list[int]


class Merged(NamedTuple):
    """A record and the partition it comes from."""

    partition: int
    record: Record


class _Source:
    """One partition's records on their way into the merge."""

    def __init__(self, partition: Partition, offset: int, end: int | None) -> None:
        self.partition = partition
        self.offset = offset
        self.end = end
        self.buffered: deque[Record] = deque()
        self.wall: UnreadableBatch | None = None
        """What comes next and cannot be read; it has its place in the order of time."""
        self._read_to = offset

    async def fill(
        self, since_ms: float, until_ms: float, skipped: list[UnreadableBatch] | None
    ) -> None:
        """Have a record or a wall at hand unless there is none left to read."""
        while not self.buffered and self.wall is None and self._read_to < self._limit():
            self._read_to = max(self._read_to, self.partition.start_offset)
            passed: list[UnreadableBatch] = []
            try:
                records, self._read_to = await read_records(
                    *(self.partition, self._read_to, _BUFFERED_RECORDS, _BUFFERED_BYTES),
                    None if skipped is None else passed,
                )
            except UnreadableBatch as error:
                if error.offset < self._limit():
                    self.wall = error
                return
            if skipped is not None:
                skipped += [one for one in passed if one.offset < self._limit()]
            self.buffered.extend(
                record
                for record in records
                if since_ms <= record.timestamp < until_ms and record.offset < self._limit()
            )
            if not self.buffered:
                self.offset = self._read_to

    def _limit(self) -> int:
        high_watermark = self.partition.high_watermark
        return high_watermark if self.end is None else min(self.end, high_watermark)

    def take(self) -> Record:
        record = self.buffered.popleft()
        self.offset = self.buffered[0].offset if self.buffered else self._read_to
        return record


class MergedReader:
    """Reads a topic's partitions in order of timestamp; ``cursor`` says how far.

    What cannot be read is added to ``skipped``, or where that is None ends the reading.
    """

    def __init__(
        self,
        topic: Topic,
        sources: list[_Source],
        since_ms: int | None,
        until_ms: int | None,
        skipped: list[UnreadableBatch] | None,
    ) -> None:
        self.skipped = skipped
        self._topic = topic
        self._sources = sources
        # A batch may have times beyond 64 bits.
        self._since_ms = -math.inf if since_ms is None else since_ms
        self._until_ms = math.inf if until_ms is None else until_ms

    async def read(self, max_records: int, max_bytes: int) -> list[Merged]:
        """The next records, up to the bounds; at least one if there is one.

        Raises UnreadableBatch where it comes before every record.
        """
        merged: list[Merged] = []
        size = 0
        while len(merged) < max_records:
            for source in self._sources:
                if not source.buffered:
                    await source.fill(self._since_ms, self._until_ms, self.skipped)
            ready = [source for source in self._sources if source.buffered or source.wall]
            if not ready:
                break
            first = min(ready, key=_order)
            if first.wall is not None and not first.buffered:
                if not merged:
                    raise first.wall
                break
            record = first.buffered[0]
            size += len(record.key or b"") + len(record.value or b"")
            if merged and size > max_bytes:
                break
            merged.append(Merged(first.partition.index, first.take()))
        return merged

    @property
    def offsets(self) -> list[int]:
        """Where each partition goes on."""
        return [source.offset for source in self._sources]

    def cursor(self, offsets: list[int]) -> str:
        """Opaque; a request with it goes on from these offsets."""
        cursor = _Cursor(self._topic.id.hex, offsets)
        return binascii.b2a_base64(msgspec.json.encode(cursor), newline=False).decode()

    @property
    def bounded(self) -> bool:
        """Whether the replay has an end in time."""
        return any(source.end is not None for source in self._sources)

    def check_not_deleted(self) -> None:
        """Raises UnknownTopic."""
        for source in self._sources:
            source.partition.check_not_deleted()

    def watch(self, waiter: DataWaiter) -> None:
        for source in self._sources:
            waiter.watch(source.partition)


def _order(source: _Source) -> tuple[float, int]:
    first = source.buffered[0] if source.buffered else source.wall
    time = None if first is None else first.timestamp
    return -math.inf if time is None else time, source.partition.index


class Replay:
    """The route."""

    def __init__(self, context: RestContext) -> None:
        self._context = context
        self._broker = context.broker
        self._stopping = context.stopping

    async def __call__(self, request: Request, send: Send, topic_name: str) -> None:
        """Raises ApiError, broker and storage errors."""
        topic = self._context.access.topic(topic_name, READ)
        query = request.query(_QUERY)
        options = fetch_options(query)
        speed = _speed(query.get("speed"))
        form = request.accepted(_FORMS)
        if form == EVENT_STREAM:
            last = request.header("Last-Event-ID")
            if last:
                query = {**query, "cursor": last.decode("latin-1")}
        reader = await open_reader(topic, query, self._broker.clock.now_ms(), options.skipped())
        if form == EVENT_STREAM:
            events = EventStream(request, send, self._context)
            await self._tail(events, reader, options, speed)
        elif form == NDJSON:
            await self._stream_lines(send, reader, options, speed)
        else:
            await self._reply_json(send, reader, options)

    async def _reply_json(self, send: Send, reader: MergedReader, options: FetchOptions) -> None:
        merged = await reader.read(options.max_records, options.max_bytes)
        if not merged and not reader.skipped and options.wait_ms:
            merged = await _wait(self._broker, reader, options)
        lines = b",".join(_render(merged, options.mode))
        skipped = skipped_field(reader.skipped)
        cursor = encode_json(reader.cursor(reader.offsets))
        await reply(send, 200, b'{"records":[%b],"cursor":%b%b}' % (lines, cursor, skipped))

    async def _stream_lines(
        self, send: Send, reader: MergedReader, options: FetchOptions, speed: float | None
    ) -> None:
        pace, left = _Pace(speed), options.stream_records_max
        lines = LineStream(send)
        try:
            while left > 0:
                reader.check_not_deleted()
                wanted = int(min(left, _STREAM_RECORDS))
                merged = await reader.read(wanted, options.max_bytes)
                if not merged or self._stopping.is_set():
                    break
                left -= len(merged)
                for part in pace.parts(merged):
                    await self._pause(pace.delay_ms(part[0]))
                    await lines.put(_render(part, options.mode))
                await lines.put_skipped(reader.skipped)
            await lines.put_skipped(reader.skipped)
            await lines.end()
        except (BrokerError, StorageError) as error:
            await lines.fail(error)

    async def _pause(self, delay_ms: float) -> None:
        """For so long, or until the broker stops."""
        if delay_ms > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay_ms / 1000)

    async def _tail(
        self, events: EventStream, reader: MergedReader, options: FetchOptions, speed: float | None
    ) -> None:
        pace, left = _Pace(speed), options.stream_records_max

        async def run() -> None:
            nonlocal left
            with DataWaiter() as waiter, DataWaiter(_NEVER) as deleted:
                reader.watch(waiter)
                if speed is not None:
                    reader.watch(deleted)
                while not events.gone and left > 0:
                    waiter.rearm()
                    reader.check_not_deleted()
                    offsets = reader.offsets
                    merged = await reader.read(int(min(left, _STREAM_RECORDS)), 2**20)
                    left -= len(merged)
                    for part in pace.parts(merged):
                        await events.pause(deleted, pace.delay_ms(part[0]))
                        reader.check_not_deleted()
                        ids = []
                        for partition, record in part:
                            offsets[partition] = record.offset + 1
                            ids.append(reader.cursor(offsets).encode())
                        await events.send_events(ids, _render(part, options.mode))
                    await events.send_skipped(reader.skipped)
                    if not merged:
                        if reader.bounded:
                            return
                        await events.wait(waiter)

        await events.run(run)


class _Pace:
    """Lets records through at ``speed`` times the pace of their timestamps; None: at once."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._start: tuple[float, int] | None = None

    def parts(self, merged: list[Merged]) -> list[list[Merged]]:
        """Records that go together: all without a pace, else those of one timestamp."""
        if self._speed is None or not merged:
            return [merged] if merged else []
        parts = [[merged[0]]]
        for one in merged[1:]:
            if one.record.timestamp == parts[-1][0].record.timestamp:
                parts[-1].append(one)
            else:
                parts.append([one])
        return parts

    def delay_ms(self, merged: Merged) -> float:
        """How long it is until this record's turn."""
        if self._speed is None:
            return 0
        timestamp, now = merged.record.timestamp, asyncio.get_running_loop().time()
        if self._start is None:
            self._start = now, timestamp
        began, first = self._start
        return (began - now) * 1000 + (timestamp - first) / self._speed


async def open_reader(
    topic: Topic,
    query: dict[str, str],
    now_ms: int,
    skipped: list[UnreadableBatch] | None = None,
) -> MergedReader:
    """A reader at the cursor, or at the beginning of the time range.

    Raises ApiError, PartitionOffline.
    """
    partitions = topic.all_online()
    since_ms = time_parameter(query["from"], "from", now_ms) if "from" in query else None
    until_ms = time_parameter(query["to"], "to", now_ms) if "to" in query else None
    if since_ms is not None and until_ms is not None and since_ms > until_ms:
        raise ApiError(422, "invalid_parameter", "from is after to", parameter="from")
    if "cursor" in query:
        starts = _parse_cursor(topic, query["cursor"])
    elif since_ms is not None:
        starts = [await offset_at(p, since_ms) for p in partitions]
    else:
        asked = query.get("offset", "earliest")
        if asked not in ("earliest", "latest"):
            message = "offset must be earliest or latest for a whole topic"
            raise ApiError(422, "invalid_parameter", message, parameter="offset")
        starts = [await resolve_offset(p, asked, now_ms) for p in partitions]
    sources = []
    for partition, start in zip(partitions, starts, strict=True):
        end = None
        if until_ms is not None:
            end = await offset_at(partition, until_ms)
        sources.append(_Source(partition, start, end))
    return MergedReader(topic, sources, since_ms, until_ms, skipped)


def _parse_cursor(topic: Topic, text: str) -> list[int]:
    """Offsets by partition; partitions added since start at their beginning. Raises ApiError."""
    try:
        cursor = msgspec.json.decode(binascii.a2b_base64(text, strict_mode=True), type=_Cursor)
    except (ValueError, msgspec.MsgspecError):
        raise ApiError(422, "invalid_cursor", "the cursor is not one of ours") from None
    if cursor.topic_id != topic.id.hex:
        message = "the cursor belongs to another topic, or to one deleted and made again"
        raise ApiError(409, "stale_cursor", message)
    if len(cursor.offsets) > len(topic.partitions):
        raise ApiError(422, "invalid_cursor", "the cursor is not one of ours")
    starts = []
    for partition in topic.partitions:
        known = partition.index < len(cursor.offsets)
        offset = cursor.offsets[partition.index] if known else partition.start_offset
        if not 0 <= offset <= partition.high_watermark:
            raise ApiError(422, "invalid_cursor", "the cursor is not one of ours")
        starts.append(offset)
    return starts


async def _wait(broker: Broker, reader: MergedReader, options: FetchOptions) -> list[Merged]:
    """Read again once there is something, or at the time-out. Raises UnknownTopic."""
    with DataWaiter() as waiter:
        reader.watch(waiter)
        merged = await reader.read(options.max_records, options.max_bytes)
        if merged or broker.closing:
            return merged
        await waiter.wait(options.wait_ms)
    reader.check_not_deleted()
    return await reader.read(options.max_records, options.max_bytes)


def _speed(text: str | None) -> float | None:
    """``2x`` or ``0.5``; None and ``max`` are without a pace. Raises ApiError."""
    if text is None or text == "max":
        return None
    speed = float(text.removesuffix("x")) if _SPEED.fullmatch(text) else -1.0
    if not 0 < speed <= _SPEED_MAX:
        message = f"speed must be like 1x, 10x or 0.5x, at most {_SPEED_MAX}x, not {text!r}"
        raise ApiError(422, "invalid_parameter", message, parameter="speed")
    return speed


def _render(merged: list[Merged], mode: str) -> list[bytes]:
    lines = render_records([one.record for one in merged], mode)
    return [with_partition(line, one.partition) for line, one in zip(lines, merged, strict=True)]
