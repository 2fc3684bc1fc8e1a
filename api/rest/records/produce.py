"""``POST /v1/topics/{topic}/records``: JSON, NDJSON or a record's bytes in, offsets out."""

from __future__ import annotations

import asyncio
from codecs import BOM_UTF8
from collections.abc import Collection
from dataclasses import replace

from tidelog.api.caller import WRITE
from tidelog.api.errors import ApiError, http_error
from tidelog.api.http.error_body import error_body
from tidelog.api.http.parameters import is_whole_number, one_of
from tidelog.api.http.reply_lines import ReplyLines
from tidelog.api.http.request_reply import (
    JSON,
    NDJSON,
    OCTET_STREAM,
    ClientDisconnected,
    Request,
    Send,
    reply,
)
from tidelog.api.rest.context import RestContext
from tidelog.api.rest.records.appending import (
    Appended,
    ProduceOptions,
    append_records,
    assign_partitions,
)
from tidelog.api.rest.records.idempotency import Producing, recognise
from tidelog.api.rest.records.produce_body import (
    NO_TIMESTAMP,
    Produced,
    parse_json,
    parse_line,
    parse_lines,
    parse_raw,
)
from tidelog.broker.errors import UnknownTopic
from tidelog.broker.partitioner import StickyPartitioner
from tidelog.broker.topic import Topic
from tidelog.broker.topic_name import may_be_made
from tidelog.storage.batches.record import EncodableRecord

_QUERY = frozenset(("acks",))
_RAW_QUERY = frozenset(("acks", "key", "partition", "timestamp"))
_KEY_CHARACTERS_MAX = 255
_INT32_MAX = 2**31 - 1
_ENVELOPE = 100
"""Bytes that a batch needs at most for one record beside its key, value and headers."""


class Produce:
    """The route; keyless records of one request stay together, the next request moves on."""

    def __init__(self, context: RestContext) -> None:
        self._context = context
        self._broker = context.broker
        self._sticky = StickyPartitioner()

    async def __call__(self, request: Request, send: Send, topic_name: str) -> None:
        """Raises ApiError, broker and storage errors before anything is sent."""
        topic = self._find(topic_name)
        kind = request.content_type
        if kind == NDJSON:
            options = _stream_options(request)
            topic = topic or await self._make(topic_name)
            await _NdjsonProduce(self, topic, options, request, send).run()
            return
        if kind == OCTET_STREAM or kind.startswith(b"text/"):
            query = request.query(_RAW_QUERY, prefix="header.")
            options = _options(request, query)
            produced = parse_raw(await request.body(), query, self._time(options))
        elif kind in (JSON, b""):
            options = _options(request, request.query(_QUERY))
            produced = parse_json(await request.body(), self._time(options))
        else:
            name = kind.decode("latin-1")
            message = (
                f"media type {name!r} is not supported here; application/json, "
                "application/x-ndjson, application/octet-stream and text/* are"
            )
            raise ApiError(415, "unsupported_media_type", message)
        topic = topic or await self._make(topic_name)
        places, duplicate = await self.append(topic, produced, options)
        end = b'],"duplicate":true}' if duplicate else b"]}"
        await reply(send, 200, b'{"records":[' + b",".join(places) + end)

    def _find(self, name: str) -> Topic | None:
        """None for one that ``_make`` will make. Raises UnknownTopic, InternalTopic."""
        try:
            return self._context.access.topic(name, WRITE)
        except UnknownTopic:
            if self._broker.settings["auto.create.topics.enable"] and may_be_made(name):
                return None
            raise

    async def _make(self, name: str) -> Topic:
        """A topic that is written to first; a request that cannot be read makes none."""
        self._context.access.check_create(name)
        await self._broker.auto_create_topic(name)
        return self._context.access.topic(name, WRITE)

    def now_ms(self) -> int:
        """The broker's clock."""
        return self._broker.clock.now_ms()

    def _time(self, options: ProduceOptions) -> int:
        """Of records that say none; a request with an idempotency key is recognised before."""
        return self.now_ms() if options.idempotency_key is None else NO_TIMESTAMP

    async def append(
        self, topic: Topic, produced: Produced, options: ProduceOptions
    ) -> tuple[list[bytes], bool]:
        """Where each record went, as JSON, and whether any of them was there already."""
        keyed = None
        if options.idempotency_key is not None:
            keyed = recognise(topic, options.idempotency_key, produced)
            options = replace(options, producing=keyed.producing)
            produced = produced.at(self.now_ms())
        chosen = assign_partitions(topic, produced, self._sticky, keyed)
        appended = await append_records(topic, produced, chosen, options)
        return _places(produced, appended), any(one.stored_ms is not None for one in appended)


class _NdjsonProduce:
    """A stream of lines: appended as they arrive, one reply line each, the first bad one ends it.

    What came before a bad line stays written; its reply line says which line it was.
    """

    def __init__(
        self, produce: Produce, topic: Topic, options: ProduceOptions, request: Request, send: Send
    ) -> None:
        self._produce = produce
        self._topic = topic
        self._request = request
        self._replies = ReplyLines(send)
        self._options = options
        self._line_number = 0
        self._limit = topic.settings["max.message.bytes"]
        self._content_max = self._limit - _ENVELOPE

    async def run(self) -> None:
        """Read, append and answer until the body or a bad line ends it."""
        try:
            await self._read()
            await self._replies.end()
        except ClientDisconnected:
            raise
        except Exception as error:
            if not self._replies.begun:
                raise
            await self._end_with(error)
        finally:
            self._replies.abandon()

    async def _end_with(self, error: Exception) -> None:
        """Tell the error after all other lines; the client may send its whole body before."""
        discarding = asyncio.create_task(self._request.disconnected())
        try:
            failed = http_error(error)
            if failed.status == 500:
                await self._replies.sent()
                raise error
            await self._replies.put(error_body(failed) + b"\n")
            await self._replies.end()
        finally:
            discarding.cancel()

    async def _read(self) -> None:
        rest = b""
        async for chunk in self._request.chunks():
            rest = await self._take((rest + chunk).split(b"\n"))
            if len(rest) > 4 * self._limit + 1024:
                raise _bad_line(self._line_number + 1, "the line is too long")
        await self._take([rest, b""])

    async def _take(self, lines: list[bytes]) -> bytes:
        """Append the whole lines; the last one may not be whole and is handed back."""
        produced, error = self._parse(lines[:-1])
        if produced.records:
            places, _ = await self._produce.append(self._topic, produced, self._options)
            await self._replies.put(b"\n".join([*places, b""]))
        if error is not None:
            raise error
        return lines[-1]

    def _parse(self, lines: list[bytes]) -> tuple[Produced, ApiError | None]:
        """The records before the first bad line, and what is wrong with that."""
        now_ms = self._produce.now_ms()
        try:
            produced = parse_lines([line for line in lines if line.strip()], now_ms)
            self._check(produced.records, produced.named.values())
        except ValueError:
            return self._parse_each(lines, now_ms)
        self._line_number += len(lines)
        return produced, None

    def _parse_each(self, lines: list[bytes], now_ms: int) -> tuple[Produced, ApiError | None]:
        produced = Produced([], {})
        for line in lines:
            self._line_number += 1
            if self._line_number == 1:
                line = line.removeprefix(BOM_UTF8)
            if not line.strip():
                continue
            try:
                record, partition = parse_line(line, now_ms)
                self._check([record], () if partition is None else (partition,))
            except ValueError as error:
                return produced, _bad_line(self._line_number, str(error))
            produced.add(record, partition)
        return produced, None

    def _check(self, records: list[EncodableRecord], named: Collection[int]) -> None:
        """Raises ValueError for a partition that there is not and for a record too large."""
        partition = max(named, default=0)
        if partition >= len(self._topic.partitions):
            raise ValueError(f"there is no partition {partition}")
        sizes = (len(key or b"") + len(value or b"") for _, key, value, _ in records)
        if max(sizes, default=0) > self._content_max:
            raise ValueError(f"the record exceeds max.message.bytes={self._limit}")


def _bad_line(number: int, reason: str) -> ApiError:
    message = f"line {number}: {reason}; the lines before it are written"
    return ApiError(422, "invalid_record", message, line=number, reason=reason)


def _options(request: Request, query: dict[str, str]) -> ProduceOptions:
    """Raises ApiError for what cannot be or does not go together."""
    acks_all = one_of(query, "acks", ("all", "-1", "1", "0")) in ("all", "-1")
    expected = _header_number(request, "If-Match-Offset", 2**63 - 1)
    key = request.header("Idempotency-Key")
    if key is not None and not 0 < len(key) <= _KEY_CHARACTERS_MAX:
        message = f"Idempotency-Key has 1 to {_KEY_CHARACTERS_MAX} characters"
        raise ApiError(422, "invalid_header", message, header="Idempotency-Key")
    producing = _producing(request)
    if key is not None and producing is not None:
        message = "give Idempotency-Key or Producer-Id, not both"
        raise ApiError(422, "invalid_header", message, header="Idempotency-Key")
    text = None if key is None else key.decode("latin-1")
    return ProduceOptions(acks_all, expected, text, producing)


def _stream_options(request: Request) -> ProduceOptions:
    """Raises ApiError."""
    options = _options(request, request.query(_QUERY))
    if options.idempotency_key or options.producing:
        message = "a stream of lines cannot be retried as one; send JSON bodies instead"
        raise ApiError(422, "invalid_parameter", message)
    return options


def _producing(request: Request) -> Producing | None:
    producer_id = _header_number(request, "Producer-Id", 2**62 - 1)
    epoch = _header_number(request, "Producer-Epoch", 2**15 - 1)
    sequence = _header_number(request, "Producer-Sequence", _INT32_MAX)
    if producer_id is None and epoch is None and sequence is None:
        return None
    if producer_id is None or epoch is None or sequence is None:
        message = "Producer-Id, Producer-Epoch and Producer-Sequence go together"
        raise ApiError(422, "invalid_header", message, header="Producer-Id")
    return Producing(producer_id, epoch, sequence)


def _header_number(request: Request, name: str, high: int) -> int | None:
    raw = request.header(name)
    if raw is None:
        return None
    if not is_whole_number(raw.decode("latin-1")) or int(raw) > high:
        message = f"{name} must be a whole number from 0 to {high}"
        raise ApiError(422, "invalid_header", message, header=name)
    return int(raw)


def _places(produced: Produced, appended: list[Appended]) -> list[bytes]:
    """Partition, offset and time of each record, in the order of the request."""
    records = produced.records
    places = [b""] * len(records)
    for partition, numbers, base_offset, append_time_ms, stored_ms in appended:
        if stored_ms is not None:
            for offset, number in enumerate(numbers, base_offset):
                places[number] = _stored_place(partition, offset, stored_ms.get(offset))
            continue
        shown_ms = None
        for offset, number in enumerate(numbers, base_offset):
            time_ms = records[number][0] if append_time_ms < 0 else append_time_ms
            if time_ms != shown_ms:
                # Most requests have one time for all records.
                place = b'{"partition":%d,"offset":%%d,"timestamp":%d}' % (partition, time_ms)
                shown_ms = time_ms
            places[number] = place % offset
    return places


def _stored_place(partition: int, offset: int, time_ms: int | None) -> bytes:
    """Of a record that was there already; None: it has gone since."""
    time = b"null" if time_ms is None else b"%d" % time_ms
    return b'{"partition":%d,"offset":%d,"timestamp":%b}' % (partition, offset, time)
