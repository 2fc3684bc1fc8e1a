"""Archive pages: ranges that can no longer change, under URLs that caches may keep for ever.

Page n of a partition holds the offsets from 1,000 n to 1,000 n + 999, the same for every reader.
It exists once all of it is flushed, and until retention takes it. The topic's id is part of the
URL, so a topic that is made again has other pages. Compacted topics have none.
"""

from __future__ import annotations

import uuid

from tidelog.api.errors import ApiError
from tidelog.api.rest.context import RestContext
from tidelog.api.rest.http import JSON, NDJSON, OCTET_STREAM, Request, Send, reply
from tidelog.api.rest.parameters import one_of
from tidelog.api.rest.rendering import VALUE_MODES, records_from, render_records
from tidelog.broker.partition import Partition
from tidelog.broker.topic import Topic
from tidelog.storage.files import Buffer
from tidelog.storage.read_cache import Span
from tidelog.storage.record_batch import batches

PAGE_RECORDS = 1000
_QUERY = frozenset(("value",))
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
    base = f"/v1/topics/{topic.name}/partitions/{partition.index}/records"
    links = [f'<{base}?offset={next_offset}>; rel="next"']
    number = offset // PAGE_RECORDS
    if has_pages(topic) and page_exists(partition, number):
        links.insert(0, f'<{page_path(topic, partition, number)}>; rel="canonical"')
    return ((b"link", ", ".join(links).encode()),)


class Pages:
    """The route."""

    def __init__(self, context: RestContext) -> None:
        self._broker = context.broker

    async def __call__(
        self, request: Request, send: Send, topic_id: str, index: int, number: int
    ) -> None:
        """Raises ApiError, UnknownTopicId, UnknownPartition, storage errors."""
        topic = self._topic(topic_id)
        partition = topic.partition(index)
        mode = one_of(request.query(_QUERY), "value", VALUE_MODES)
        if not has_pages(topic):
            message = f"topic {topic.name!r} is compacted: its ranges change, so it has no pages"
            raise ApiError(404, "no_pages", message)
        if not page_exists(partition, number):
            raise _no_page(partition, number)
        kind = _kind(request.headers.get(b"accept", b""))
        tag = f'"{topic.id.hex}-{index}-{number}-{mode}-{kind.decode().partition("/")[2]}"'
        headers = (
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
        body = await self._body(partition, number, kind, mode)
        await reply(send, 200, body, kind, headers)

    def _topic(self, text: str) -> Topic:
        try:
            topic_id = uuid.UUID(text)
        except ValueError:
            raise ApiError(404, "unknown_topic_id", f"{text!r} is no topic id") from None
        return self._broker.topic_by_id(topic_id)

    def _next(self, topic: Topic, partition: Partition, number: int) -> bytes:
        if page_exists(partition, number + 1):
            target = page_path(topic, partition, number + 1)
        else:
            base = f"/v1/topics/{topic.name}/partitions/{partition.index}/records"
            target = f"{base}?offset={(number + 1) * PAGE_RECORDS}"
        return f'<{target}>; rel="next"'.encode()

    async def _body(self, partition: Partition, number: int, kind: bytes, mode: str) -> bytes:
        cache = self._broker.cache
        key = ("page", partition.log_id, number, kind, mode)
        kept = cache.get_page(key, partition.topic)
        if kept is not None:
            return kept
        token = cache.token
        first = number * PAGE_RECORDS
        end = first + PAGE_RECORDS
        data: list[Buffer] = []
        offset = first
        while offset < end:
            fetched = await partition.read(offset, _READ_BYTES)
            data += fetched.data
            offset = fetched.next_offset
        where = partition.log.place.directory
        if kind == OCTET_STREAM:
            body = b"".join(_batches_below(data, end))
        else:
            records = records_from(data, first, PAGE_RECORDS, 2**62, where)
            records = [record for record in records if record.offset < end]
            lines = render_records(records, mode)
            if kind == NDJSON:
                body = b"".join([line + b"\n" for line in lines])
            else:
                body = b'{"records":[%b],"next_offset":%d}' % (b",".join(lines), end)
        spans = (Span(partition.log_id, first, end),)
        cache.put_page(key, body, spans=spans, token=token)
        return body


def _batches_below(data: list[Buffer], end: int) -> list[Buffer]:
    """The stored batches that begin before ``end``."""
    return [
        memoryview(buffer)[position : position + header.size]
        for buffer in data
        for position, header in batches(buffer)
        if header.base_offset < end
    ]


def _kind(accept: bytes) -> bytes:
    for kind in (NDJSON, OCTET_STREAM):
        if kind in accept:
            return kind
    return JSON


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
