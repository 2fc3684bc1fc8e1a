"""How far each partition of a topic has been read by offset, page by page, and where that ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from msgspec import Raw

from tidelog.api.cli.bounds import End, Span, end_of
from tidelog.api.cli.client import Client, path_of
from tidelog.api.cli.failures import CommandFailed
from tidelog.api.cli.shown_records import Shown, number_of
from tidelog.api.cli.unreadable import Unreadable

PAGE = 1000
"""Records at most, where nobody wants fewer."""
WAIT_MS = 30_000
_WAIT_OF_MANY_MS = 500


class _Page(msgspec.Struct):
    records: list[Shown]
    next_offset: int
    high_watermark: int
    skipped: list[Unreadable] = []


_decode_page = msgspec.json.Decoder(_Page).decode


class Limits(NamedTuple):
    """Of one page."""

    records: int = PAGE
    bytes: int | None = None
    wait_ms: int = 0
    on_corrupt: str = "fail"


class Read(NamedTuple):
    """What one page brought."""

    records: list[Shown]
    """Up to the end of reading."""
    skipped: list[Unreadable]
    next_offset: int
    """Where it ended."""
    at_end: bool
    """Whether there was no more then."""


class Position:
    """One partition; ``offset`` is where its next page begins, as the HTTP API takes it."""

    def __init__(
        self, topic: str, partition: int, offset: str, end: End, *, start: int = 0, follow: bool
    ) -> None:
        self.start = start
        """The first offset that there was."""
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.done = False
        self.found = False
        """Whether the last page brought anything, wanted or not."""
        self._end = end
        self._follow = follow

    def read(self, client: Client, limits: Limits) -> Read:
        """The next page; goes on to the one after it. Raises CommandFailed."""
        query = {
            "value": "text",
            "offset": self.offset,
            "max_records": limits.records,
            "max_bytes": limits.bytes,
            "wait_ms": limits.wait_ms or None,
            "on_corrupt": limits.on_corrupt,
        }
        path = path_of("topics", self.topic, "partitions", self.partition, "records")
        content = client.content("GET", path, query)
        try:
            page = _decode_page(content)
        except msgspec.MsgspecError as error:
            raise client.foreign_answer() from error
        self.offset = str(page.next_offset)
        records = page.records
        beyond = next((n for n, one in enumerate(records) if self._is_beyond(one)), len(records))
        end = self._end.offset
        self.found = bool(records or page.skipped)
        self.done = (
            beyond < len(records)
            or (end is not None and page.next_offset >= end)
            or not (self.found or self._follow)
        )
        after = page.next_offset if beyond == len(records) else number_of(records[beyond], "offset")
        place = {
            "topic": Raw(msgspec.json.encode(self.topic)),
            "partition": Raw(b"%d" % self.partition),
        }
        shown = [{**place, **record} for record in records[:beyond]]
        return Read(shown, page.skipped, after, after >= page.high_watermark)

    def _is_beyond(self, record: Shown) -> bool:
        offset, timestamp_ms = self._end
        return (offset is not None and number_of(record, "offset") >= offset) or (
            timestamp_ms is not None and number_of(record, "timestamp") >= timestamp_ms
        )


def positions_of(
    client: Client,
    topic: str,
    partition: int | None,
    offset: str,
    until: str | None,
    *,
    follow: bool,
) -> Iterator[Position]:
    """One partition, or all where that is None. Raises CommandFailed."""
    shown = client.call("GET", path_of("topics", topic))["partitions"]
    if partition is not None:
        shown = [one for one in shown if one["partition"] == partition]
        if not shown:
            raise CommandFailed(f"topic {topic} has no partition {partition}")
    now_ms = int(time.time() * 1000)
    for one in shown:
        span = Span(one["start_offset"], one["end_offset"])
        end = End() if until is None else end_of(until, span, now_ms)
        if not follow:
            # What is written while this goes on is not waited for.
            asked = span.end if end.offset is None else end.offset
            end = end._replace(offset=min(span.end, asked))
        yield Position(topic, one["partition"], offset, end, start=span.start, follow=follow)


def in_turns(positions: list[Position], *, follow: bool) -> Iterator[tuple[Position, int]]:
    """Each, again and again until it is done, and how many ms its page is to be waited for."""
    while positions:
        wait_ms = WAIT_MS if len(positions) == 1 else _WAIT_OF_MANY_MS
        for position in positions:
            idle = position is positions[-1] and not any(one.found for one in positions[:-1])
            yield position, wait_ms if follow and idle else 0
        positions = [one for one in positions if not one.done]
