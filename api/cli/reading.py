"""Records on their way from the broker to the printer: of partitions, of a group, by time."""

from __future__ import annotations

import heapq
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from tidelog.api.cli.client import Client, path_of
from tidelog.api.cli.failures import CommandFailed, NoAnswer, refused
from tidelog.api.cli.group_member import GroupMember
from tidelog.api.cli.persistence import Persistence
from tidelog.api.cli.positions import PAGE, WAIT_MS, Limits, in_turns, positions_of
from tidelog.api.cli.printer import Printer
from tidelog.api.cli.record_filter import RecordFilter
from tidelog.api.cli.shown_records import Shown, number_of
from tidelog.api.cli.unreadable import Unreadable, tell_left_out

_SETTLE_MS = 1000
"""How long a member waits at a time for a rebalance to be over."""
_AS_TEXT = {"value": "text"}
_ID, _DATA = b"id: ", b"data: "
"""Of an event, in a stream of them."""

_decode_record = msgspec.json.Decoder(Shown).decode
_decode_skipped = msgspec.json.Decoder(list[Unreadable]).decode


class Extent(NamedTuple):
    """How much is read, and of what."""

    maximum: int | None
    """Records that are printed at most."""
    follow: bool
    skip_corrupt: bool


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
        follow = self._follow
        positions = [
            position
            for topic in self._topics
            for position in positions_of(
                self._client, topic, partition, offset, until, follow=follow
            )
        ]
        persistence = Persistence(wanted=follow)
        for position, wait_ms in in_turns(positions, follow=follow):
            limits = Limits(self._most(), wait_ms=wait_ms, on_corrupt=self._on_corrupt)
            read = persistence.ask(partial(position.read, self._client, limits))
            tell_left_out(read.skipped)
            self._show(read.records)
            if not self._left:
                return

    def as_member(self, group: str, auto_offset_reset: str) -> None:
        """What the group hands to a member of it."""
        how = auto_offset_reset, self._on_corrupt
        with GroupMember(self._client, group, self._topics, *how) as member:
            wait_ms = WAIT_MS if self._follow else _SETTLE_MS
            for records in member.records(self._most, wait_ms, follow=self._follow):
                looked_at = self._show(records)
                if looked_at < len(records):
                    member.only(records[:looked_at])

    def _most(self) -> int:
        """Records of the next page; nobody knows how many of them are wanted where some are not."""
        return min(self._left, PAGE) if self._filter.takes_all or not self._left else PAGE

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
        path = path_of("topics", topic, "records")
        if self._follow:
            lines = self._events(path, query)
        else:
            lines = self._client.lines(path, query, {"Accept": "application/x-ndjson"})
        place = {"topic": msgspec.Raw(msgspec.json.encode(topic))}
        for line in lines:
            record = self._record(line)
            if record is not None:
                yield {**place, **record}

    def _events(self, path: str, query: dict[str, Any]) -> Iterator[bytes]:
        """The data of each; a stream that broke goes on after the last one."""
        persistence = Persistence(wanted=True)
        headers = {"Accept": "text/event-stream"}
        connected, event = False, ""
        while True:
            try:
                for line in self._client.lines(path, query, headers):
                    if line.startswith(_ID):
                        event = line[len(_ID) :].decode("latin-1")
                    elif line.startswith(_DATA):
                        yield line[len(_DATA) :]
                        headers["Last-Event-ID"] = event
                        persistence.answered()
                if query["to"] is not None:
                    return
                connected = True
                persistence.pause()
            except CommandFailed as error:
                connected = connected or (isinstance(error, NoAnswer) and error.sent)
                if not connected:
                    raise
                persistence.wait_after(error)

    def _show(self, records: list[Shown], *, at_once: bool = True) -> int:
        """Print those that are wanted; how many it took until there were enough."""
        wanted = self._filter.wanted(records)[: self._left]
        self._printer.show(wanted, at_once=at_once)
        self._left -= len(wanted)
        if self._left or not wanted:
            return len(records)
        return next(number for number, one in enumerate(records, 1) if one is wanted[-1])

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
