"""``GET /v1/topics/{topic}/partitions/{p}/records``: one partition from an offset on.

JSON, NDJSON, server-sent events or the stored batches, by ``Accept``. A reply whose records can
no longer change is kept rendered in the read cache.
"""

from __future__ import annotations

import math
import struct
from typing import NamedTuple

from tidelog.api.caller import READ
from tidelog.api.errors import ApiError
from tidelog.api.http.parameters import is_whole_number, one_of, quantity, whole_number
from tidelog.api.http.request_reply import (
    EVENT_STREAM,
    JSON,
    NDJSON,
    NO_STORE,
    OCTET_STREAM,
    Request,
    Send,
    reply,
)
from tidelog.api.rest.context import RestContext
from tidelog.api.rest.records.event_stream import EventStream
from tidelog.api.rest.records.line_stream import LineStream
from tidelog.api.rest.records.offset_spec import resolve_offset, within_range
from tidelog.api.rest.records.pages import page_links
from tidelog.api.rest.records.rendering import (
    ON_CORRUPT,
    VALUE_MODES,
    render_records,
    skipped_field,
)
from tidelog.api.units import parse_duration, parse_size
from tidelog.broker.errors import BrokerError
from tidelog.broker.partition import Partition
from tidelog.broker.records.reading import read_records
from tidelog.broker.topic import Topic
from tidelog.broker.waiting import DataWaiter
from tidelog.storage.cache.read_cache import Span
from tidelog.storage.errors import StorageError, UnreadableBatch

RECORDS_DEFAULT, RECORDS_MAX = 500, 10_000
BYTES_DEFAULT, BYTES_MAX = 1024 * 1024, 64 * 1024 * 1024
WAIT_MS_MAX = 60_000
READING = ("max_records", "max_bytes", "wait_ms", "isolation", "value", "on_corrupt")
"""The parameters of ``FetchOptions``."""
_QUERY = frozenset(("offset", "reset", *READING))
_FORMS = (JSON, NDJSON, EVENT_STREAM, OCTET_STREAM)
_NEXT_OFFSET = struct.Struct(">q")


class FetchOptions(NamedTuple):
    """The bounds of one answer, how values are shown, and whether what is unreadable is passed."""

    max_records: int
    max_bytes: int
    wait_ms: int
    mode: str
    skips: bool
    stream_records_max: float
    """Most records of a stream, which has no end by default."""

    def skipped(self) -> list[UnreadableBatch] | None:
        """For ``read_records``."""
        return [] if self.skips else None


def fetch_options(query: dict[str, str]) -> FetchOptions:
    """Raises ApiError for what is out of bounds."""
    one_of(query, "isolation", ("read_uncommitted", "read_committed"))
    max_records = whole_number(query, "max_records", RECORDS_DEFAULT, 1, RECORDS_MAX)
    return FetchOptions(
        max_records,
        quantity(query, "max_bytes", parse_size, BYTES_DEFAULT, 1, BYTES_MAX),
        quantity(query, "wait_ms", parse_duration, 0, 0, WAIT_MS_MAX),
        one_of(query, "value", VALUE_MODES),
        one_of(query, "on_corrupt", ON_CORRUPT) == "skip",
        max_records if "max_records" in query else math.inf,
    )


class Fetch:
    """The route."""

    def __init__(self, context: RestContext) -> None:
        self._context = context
        self._broker = context.broker

    async def __call__(self, request: Request, send: Send, topic_name: str, index: int) -> None:
        """Raises ApiError, OffsetOutOfRange, broker and storage errors."""
        topic = self._context.access.topic(topic_name, READ)
        partition = topic.partition(index)
        query = request.query(_QUERY)
        options = fetch_options(query)
        form = request.accepted(_FORMS)
        asked = query.get("offset", "earliest")
        if form == EVENT_STREAM:
            asked = _after_last_event(request, asked)
        offset = await resolve_offset(partition, asked, self._broker.clock.now_ms())
        reset = one_of(query, "reset", ("earliest", "latest")) if "reset" in query else None
        offset = within_range(partition, offset, reset)
        if form == EVENT_STREAM:
            await EventStream(request, send, self._context).tail(partition, offset, options)
            return
        if options.wait_ms and offset >= partition.high_watermark:
            await self._wait(partition, offset, options.wait_ms)
        if form == NDJSON:
            await _stream_lines(send, partition, offset, options)
        elif form == OCTET_STREAM:
            await _reply_batches(send, partition, offset, options.max_bytes)
        else:
            await self._reply_json(send, topic, partition, offset, options)

    async def _wait(self, partition: Partition, offset: int, wait_ms: int) -> None:
        """Return as soon as there is a record at ``offset``. Raises UnknownTopic."""
        with DataWaiter() as waiter:
            waiter.watch(partition)
            if offset >= partition.high_watermark and not self._broker.closing:
                await waiter.wait(wait_ms)
        partition.check_not_deleted()

    async def _reply_json(
        self, send: Send, topic: Topic, partition: Partition, offset: int, options: FetchOptions
    ) -> None:
        skipped = options.skipped()
        body, next_offset = await self._page(partition, offset, options, skipped)
        tail = b'],"next_offset":%d,"start_offset":%d,"high_watermark":%d%b}'
        counts = next_offset, partition.start_offset, partition.high_watermark
        links = page_links(topic, partition, offset, next_offset)
        headers = (NO_STORE, *links)
        end = tail % (*counts, skipped_field(skipped))
        await reply(send, 200, b'{"records":[' + body + end, JSON, headers)

    async def _page(
        self,
        partition: Partition,
        offset: int,
        options: FetchOptions,
        skipped: list[UnreadableBatch] | None,
    ) -> tuple[bytes, int]:
        """The rendered records and the offset after them, from the cache where it has them."""
        cache = self._broker.cache
        key = ("records", partition.log_id, offset, *options[:2], options.mode, options.skips)
        kept = cache.get_page(key, partition.topic)
        if kept is not None:
            return kept[_NEXT_OFFSET.size :], _NEXT_OFFSET.unpack_from(kept)[0]
        token = cache.token
        records, next_offset = await read_records(partition, offset, *options[:2], skipped)
        body = b",".join(render_records(records, options.mode))
        if records and next_offset < partition.high_watermark and not skipped:
            span = Span(partition.log_id, offset, next_offset)
            page = _NEXT_OFFSET.pack(next_offset) + body
            cache.put_page(key, page, spans=(span,), token=token)
        return body, next_offset


def _after_last_event(request: Request, asked: str) -> str:
    """Where a client that comes back goes on. Raises ApiError for an id that is not ours."""
    last = request.header("Last-Event-ID")
    if not last:
        return asked
    text = last.decode("latin-1")
    if not is_whole_number(text):
        message = f"Last-Event-ID is the offset of the last record, not {text!r}"
        raise ApiError(422, "invalid_header", message, header="Last-Event-ID")
    return str(int(text) + 1)


async def _stream_lines(
    send: Send, partition: Partition, offset: int, options: FetchOptions
) -> None:
    """Everything up to the present end, a record a line, in bounded pieces."""
    end, left = partition.high_watermark, options.stream_records_max
    lines = LineStream(send)
    skipped = options.skipped()
    try:
        while offset < end and left > 0:
            partition.check_not_deleted()
            wanted = int(min(left, options.max_records))
            records, offset = await read_records(
                partition, offset, wanted, options.max_bytes, skipped
            )
            left -= len(records)
            await lines.put(render_records(records, options.mode))
            await lines.put_skipped(skipped)
        await lines.end()
    except (BrokerError, StorageError) as error:
        await lines.fail(error)


async def _reply_batches(send: Send, partition: Partition, offset: int, max_bytes: int) -> None:
    fetched = await partition.read(offset, max_bytes)
    headers = (
        NO_STORE,
        (b"tidelog-next-offset", b"%d" % fetched.next_offset),
        (b"tidelog-start-offset", b"%d" % fetched.start_offset),
        (b"tidelog-high-watermark", b"%d" % fetched.high_watermark),
    )
    await reply(send, 200, b"".join(fetched.data), OCTET_STREAM, headers)
