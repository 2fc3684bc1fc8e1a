"""Archive pages: ranges that can no longer change, under URLs that caches may keep for ever.

Page n of a partition holds the offsets from 1,000 n to 1,000 n + 999, the same for every reader.
It exists once all of it is flushed, and until retention takes it. The topic's id is part of the
URL, so a topic that is made again has other pages. Compacted topics have none.
"""

from __future__ import annotations

import uuid
from typing import NamedTuple

from tidelog.api.caller import READ
from tidelog.api.errors import ApiError, http_error
from tidelog.api.http.compressing import codings_of, compress
from tidelog.api.http.error_body import error_body
from tidelog.api.http.parameters import one_of
from tidelog.api.http.request_reply import (
    JSON,
    NDJSON,
    NO_STORE,
    OCTET_STREAM,
    Request,
    Send,
    reply,
)
from tidelog.api.rest.context import RestContext
from tidelog.api.rest.records.rendering import (
    ON_CORRUPT,
    VALUE_MODES,
    render_records,
    skipped_field,
    skipped_line,
)
from tidelog.broker.partition import Partition
from tidelog.broker.records.reading import read_records
from tidelog.broker.topic import Topic
from tidelog.storage.batches.record import Record
from tidelog.storage.batches.record_batch import batches
from tidelog.storage.buffers import Buffer
from tidelog.storage.cache.read_cache import Span
from tidelog.storage.errors import UnreadableBatch

PAGE_RECORDS = 1000
_QUERY = frozenset(("value", "on_corrupt"))
_FORMS = (JSON, NDJSON, OCTET_STREAM)
_IMMUTABLE = b"public, max-age=31536000, immutable"
_READ_BYTES = 256 * 1024


def has_pages(topic: Topic) -> bool:
    """Whether ranges of the topic stay as they are."""
    return "compact" not in topic.settings["cleanup.policy"]


def page_exists(partition: Partition, number: int) -> bool:
    """Whether all of the page is flushed and none of it deleted."""
    first = number * PAGE_RECORDS
    return partition.start_offset <= first and first + PAGE_RECORDS <= partition.flushed_offset


def page_path(topic: Topic, partition: Partition, number: int) -> str:
    """Where the page is."""
    return f"/v1/topics/{topic.name}/{topic.id}/partitions/{partition.index}/pages/{number}"


def page_links(
    topic: Topic, partition: Partition, offset: int, next_offset: int
) -> tuple[tuple[bytes, bytes], ...]:
    """The ``Link`` header of a fetch: the page it could have used, and where to go on."""
    links = [f'<{_records_path(topic, partition, next_offset)}>; rel="next"']
    number = offset // PAGE_RECORDS
    if has_pages(topic) and page_exists(partition, number):
        links.insert(0, f'<{page_path(topic, partition, number)}>; rel="canonical"')
    return ((b"link", ", ".join(links).encode()),)


def _records_path(topic: Topic, partition: Partition, offset: int) -> str:
    return f"/v1/topics/{topic.name}/partitions/{partition.index}/records?offset={offset}"


class _Form(NamedTuple):
    """How a page is written; one that is not whole goes without the coding."""

    kind: bytes
    mode: str
    skips: bool
    coding: bytes | None


class _Page(NamedTuple):
    """Whole: nothing is missing, so that it may be kept for ever."""

    body: bytes
    next_offset: int
    whole: bool


class Pages:
    """The route."""

    def __init__(self, context: RestContext) -> None:
        self._context = context
        self._broker = context.broker

    async def __call__(
        self, request: Request, send: Send, name: str, topic_id: str, index: int, number: int
    ) -> None:
        """Raises ApiError, UnknownTopicId, UnknownPartition, storage errors."""
        topic = self._topic(name, topic_id)
        partition = topic.partition(index)
        query = request.query(_QUERY)
        mode = one_of(query, "value", VALUE_MODES)
        skips = one_of(query, "on_corrupt", ON_CORRUPT) == "skip"
        if not has_pages(topic):
            message = f"topic {topic.name!r} is compacted: its ranges change, so it has no pages"
            raise ApiError(404, "no_pages", message)
        if not page_exists(partition, number):
            raise _no_page(partition, number)
        kind = request.accepted(_FORMS)
        codings = codings_of(request.lines(b"accept-encoding"))
        coding = codings[0] if codings and kind != OCTET_STREAM else None
        form = kind.decode().partition("/")[2] + ("" if coding is None else f"-{coding.decode()}")
        tag = f'"{topic.id.hex}-{index}-{number}-{mode}-{form}"'
        headers: tuple[tuple[bytes, bytes], ...] = (
            (b"etag", tag.encode()),
            (b"cache-control", _IMMUTABLE),
            (b"vary", b"Accept, Accept-Encoding"),
            (b"link", self._next(topic, partition, number)),
        )
        known = request.headers.get(b"if-none-match")
        if known is not None and (known == b"*" or tag.encode() in known):
            await send({"type": "http.response.start", "status": 304, "headers": list(headers)})
            await send({"type": "http.response.body", "body": b""})
            return
        if kind == OCTET_STREAM:
            page = await self._batches(partition, number)
        else:
            page = await self._records(partition, number, _Form(kind, mode, skips, coding))
        if not page.whole:
            target = _records_path(topic, partition, page.next_offset)
            headers = (NO_STORE, (b"link", f'<{target}>; rel="next"'.encode()))
        elif coding is not None:
            headers = (*headers, (b"content-encoding", coding))
        await reply(send, 200, page.body, kind, headers)

    def _topic(self, name: str, text: str) -> Topic:
        """Of a name and the one spelling of its id: caches keep each page once."""
        try:
            topic_id = uuid.UUID(text)
        except ValueError:
            raise ApiError(404, "unknown_topic_id", f"{text!r} is no topic id") from None
        topic = self._context.access.topic(topic_id, READ)
        if (topic.name, str(topic_id)) != (name, text):
            message = f"no topic {name!r} has the id {text!r}; GET /v1/topics/{{topic}} tells ids"
            raise ApiError(404, "unknown_topic_id", message, topic=name, topic_id=text)
        return topic

    def _next(self, topic: Topic, partition: Partition, number: int) -> bytes:
        if page_exists(partition, number + 1):
            target = page_path(topic, partition, number + 1)
        else:
            target = _records_path(topic, partition, (number + 1) * PAGE_RECORDS)
        return f'<{target}>; rel="next"'.encode()

    async def _batches(self, partition: Partition, number: int) -> _Page:
        cache = self._broker.cache
        key = ("page", partition.log_id, number)
        body = cache.get_page(key, partition.topic)
        first, end = _offsets(number)
        if body is None:
            token = cache.token
            data: list[Buffer] = []
            offset = first
            while offset < end:
                fetched = await partition.read(offset, _READ_BYTES)
                data += fetched.data
                offset = fetched.next_offset
            body = b"".join(_batches_below(data, end))
            cache.put_page(key, body, spans=(Span(partition.log_id, first, end),), token=token)
        return _Page(body, end, True)

    async def _records(self, partition: Partition, number: int, form: _Form) -> _Page:
        cache = self._broker.cache
        kind, mode, skips, coding = form
        key = ("page", partition.log_id, number, kind, mode, coding)
        kept = cache.get_page(key, partition.topic)
        first, end = _offsets(number)
        if kept is not None:
            return _Page(kept, end, True)
        token = cache.token
        content = await _read_page(partition, first, end, skips)
        lines = render_records(content.records, mode)
        skipped = content.skipped
        if kind == NDJSON:
            lines += [skipped_line(skipped)] if skipped else []
            lines += [error_body(http_error(content.error))] if content.error else []
            body = b"".join([line + b"\n" for line in lines])
        else:
            told = content.next_offset, skipped_field(skipped)
            body = b'{"records":[%b],"next_offset":%d%b}' % (b",".join(lines), *told)
        whole = content.error is None and not skipped
        if whole:
            body = body if coding is None else await compress(coding, body)
            cache.put_page(key, body, spans=(Span(partition.log_id, first, end),), token=token)
        return _Page(body, content.next_offset, whole)


class _Content(NamedTuple):
    """A page's records up to where one cannot be read."""

    records: list[Record]
    next_offset: int
    skipped: list[UnreadableBatch]
    error: UnreadableBatch | None


async def _read_page(partition: Partition, first: int, end: int, skips: bool) -> _Content:
    """Raises UnreadableBatch where no record comes first."""
    records: list[Record] = []
    skipped: list[UnreadableBatch] = []
    offset, error = first, None
    while offset < end and error is None:
        try:
            found, offset = await read_records(
                partition, offset, end - offset, 2**62, skipped if skips else None
            )
        except UnreadableBatch as stopped:
            if not records:
                raise
            error = stopped
        else:
            records += [record for record in found if record.offset < end]
    skipped = [one for one in skipped if one.offset < end]
    return _Content(records, min(offset, end), skipped, error)


def _offsets(number: int) -> tuple[int, int]:
    return number * PAGE_RECORDS, (number + 1) * PAGE_RECORDS


def _batches_below(data: list[Buffer], end: int) -> list[Buffer]:
    """The stored batches that begin before ``end``."""
    return [
        memoryview(buffer)[position : position + header.size]
        for buffer in data
        for position, header in batches(buffer)
        if header.base_offset < end
    ]


def _no_page(partition: Partition, number: int) -> ApiError:
    first = number * PAGE_RECORDS
    details = {
        "page": number,
        "start_offset": partition.start_offset,
        "flushed_offset": partition.flushed_offset,
    }
    if first < partition.start_offset:
        message = f"page {number} begins before the first record kept: retention took it"
        return ApiError(410, "page_gone", message, **details)
    message = f"page {number} is not complete and flushed yet"
    return ApiError(404, "page_not_ready", message, **details)
