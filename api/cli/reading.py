"""Records on their way from the broker to the printer: of partitions, of a group, by time."""

from __future__ import annotations

import heapq
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from tidelog.api.cli.bounds import End, Span, end_of
from tidelog.api.cli.client import Client, path_of
from tidelog.api.cli.failures import CommandFailed, UsedWrongly, refused
from tidelog.api.cli.group_member import GroupMember
from tidelog.api.cli.printer import Printer
from tidelog.api.cli.record_filter import RecordFilter
from tidelog.api.cli.shown_records import Shown, number_of
from tidelog.api.cli.unreadable import Unreadable, tell_left_out

_PAGE = 1000
_WAIT_MS = 30_000
_WAIT_OF_MANY_MS = 500
_SETTLE_MS = 1000
"""How long a member waits at a time for a rebalance to be over."""
_AS_TEXT = {"value": "text"}
_DATA = b"data: "
"""Of an event, in a stream of them."""


class _Page(msgspec.Struct):
    records: list[Shown]
    next_offset: int
    skipped: list[Unreadable] = []


_decode_page = msgspec.json.Decoder(_Page).decode
_decode_record = msgspec.json.Decoder(Shown).decode
_decode_skipped = msgspec.json.Decoder(list[Unreadable]).decode


class Extent(NamedTuple):
    """How much is read, and of what."""

    maximum: int | None
    """Records that are printed at most."""
    follow: bool
    skip_corrupt: bool


class _Position:
    """How far a partition has been read, and where that ends."""

    def __init__(self, topic: str, partition: int, offset: str, end: End) -> None:
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.done = False
        self._end = end

    def take(self, page: _Page) -> list[Shown]:
        """Its records up to the end."""
        records = page.records
        for number, record in enumerate(records):
            if self._is_beyond(record):
                records = records[:number]
                self.done = True
                break
        self.offset = str(page.next_offset)
        if self._end.offset is not None and page.next_offset >= self._end.offset:
            self.done = True
        return records

    def _is_beyond(self, record: Shown) -> bool:
        offset, timestamp_ms = self._end
        return (offset is not None and number_of(record, "offset") >= offset) or (
            timestamp_ms is not None and number_of(record, "timestamp") >= timestamp_ms
        )


class Reading:
    """Topics that are printed, to their present end or, to ``follow``, beyond it.

    All ways of it raise CommandFailed.
    """

    def __init__(
        self,
        client: Client,
        topics: Sequence[str],
        printer: Printer,
        wanted: RecordFilter,
        extent: Extent,
    ) -> None:
        self._client = client
        self._topics = topics
        self._printer = printer
        self._filter = wanted
        self._left = extent.maximum or sys.maxsize
        self._follow = extent.follow
        self._on_corrupt = "skip" if extent.skip_corrupt else "fail"

    def of_partitions(self, partition: int | None, offset: str, until: str | None) -> None:
        """One partition of each topic or all, one after the other, from ``offset`` on."""
        positions = [
            position
            for topic in self._topics
            for position in self._positions(topic, partition, offset, until)
        ]
        found = True
        while positions and (found or self._follow):
            found = False
            for position in positions:
                wait_ms = 0
                if self._follow and not found and position is positions[-1]:
                    wait_ms = _WAIT_MS if len(positions) == 1 else _WAIT_OF_MANY_MS
                page = self._page(position, wait_ms)
                found = found or bool(page.records or page.skipped)
                tell_left_out(page.skipped)
                self._show(position.take(page))
                if not self._left:
                    return
            positions = [position for position in positions if not position.done]

    def _positions(
        self, topic: str, partition: int | None, offset: str, until: str | None
    ) -> Iterator[_Position]:
        shown = self._client.call("GET", path_of("topics", topic))["partitions"]
        if partition is not None:
            shown = [one for one in shown if one["partition"] == partition]
            if not shown:
                raise CommandFailed(f"topic {topic} has no partition {partition}")
        now_ms = int(time.time() * 1000)
        for one in shown:
            span = Span(one["start_offset"], one["end_offset"])
            end = End()
            if until is not None:
                try:
                    end = end_of(until, span, now_ms)
                except ValueError as error:
                    raise UsedWrongly(f"--until: {error}") from None
            if not self._follow:
                # What is written while this goes on is not waited for.
                asked = span.end if end.offset is None else end.offset
                end = end._replace(offset=min(span.end, asked))
            yield _Position(topic, one["partition"], offset, end)

    def _page(self, position: _Position, wait_ms: int) -> _Page:
        query = {
            **_AS_TEXT,
            "offset": position.offset,
            "max_records": min(self._left, _PAGE) if self._filter.takes_all else _PAGE,
            "wait_ms": wait_ms or None,
            "on_corrupt": self._on_corrupt,
        }
        path = path_of("topics", position.topic, "partitions", position.partition, "records")
        content = self._client.content("GET", path, query)
        try:
            page = _decode_page(content)
        except msgspec.MsgspecError as error:
            raise self._client.foreign_answer() from error
        place = {
            "topic": msgspec.Raw(msgspec.json.encode(position.topic)),
            "partition": msgspec.Raw(b"%d" % position.partition),
        }
        page.records = [{**place, **record} for record in page.records]
        return page

    def as_member(self, group: str, auto_offset_reset: str) -> None:
        """What the group hands to a member of it."""
        how = auto_offset_reset, self._on_corrupt
        with GroupMember(self._client, group, self._topics, *how) as member:
            wait_ms = _WAIT_MS if self._follow else _SETTLE_MS
            for records in member.records(self._most, wait_ms, follow=self._follow):
                self._show(records)

    def _most(self) -> int:
        """No more is taken than may be printed: what is taken is committed."""
        return min(self._left, _PAGE)

    def by_time(self, query: dict[str, Any]) -> None:
        """All partitions merged; ``query`` bounds them in time and says how fast."""
        query = {**query, **_AS_TEXT, "on_corrupt": self._on_corrupt}
        at_once = self._follow or query["speed"] is not None or sys.stdout.isatty()
        streams = [self._stream(topic, query) for topic in self._topics]
        for record in heapq.merge(*streams, key=lambda record: number_of(record, "timestamp")):
            self._show([record], at_once=at_once)
            if not self._left:
                return

    def _stream(self, topic: str, query: dict[str, Any]) -> Iterator[Shown]:
        accept = "text/event-stream" if self._follow else "application/x-ndjson"
        lines = self._client.lines(path_of("topics", topic, "records"), query, accept)
        if self._follow:
            lines = (line[len(_DATA) :] for line in lines if line.startswith(_DATA))
        place = {"topic": msgspec.Raw(msgspec.json.encode(topic))}
        for line in lines:
            record = self._record(line)
            if record is not None:
                yield {**place, **record}

    def _show(self, records: Iterable[Shown], *, at_once: bool = True) -> None:
        wanted = self._filter.wanted(records)[: self._left]
        self._printer.show(wanted, at_once=at_once)
        self._left -= len(wanted)

    def _record(self, line: bytes) -> Shown | None:
        """None where a line tells what was left out.

        Raises CommandFailed for what is neither, as the last line of a stream that broke may be.
        """
        try:
            record = _decode_record(line)
        except msgspec.MsgspecError as error:
            raise self._client.foreign_answer() from error
        if "error" in record:
            raise refused(200, line)
        if "skipped" in record:
            tell_left_out(_decode_skipped(record["skipped"]))
            return None
        if "offset" not in record:
            raise self._client.foreign_answer()
        return record
