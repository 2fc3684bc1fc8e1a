"""Records on their way from the broker to the printer: of partitions, of a group, by time."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from tidelog.api.cli.client import Client, CommandFailed, path_of, refused
from tidelog.api.cli.group_member import GroupMember
from tidelog.api.cli.printer import Printer, Shown
from tidelog.api.cli.unreadable import Unreadable, tell_left_out

_PAGE = 1000
_WAIT_MS = 30_000
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


class Reading:
    """A topic that is printed, to its present end or, to ``follow``, beyond it.

    All ways of it raise CommandFailed.
    """

    def __init__(
        self,
        client: Client,
        topic: str,
        printer: Printer,
        maximum: int | None,
        *,
        follow: bool,
        skip_corrupt: bool,
    ) -> None:
        self._client = client
        self._topic = topic
        self._path = path_of("topics", topic)
        self._printer = printer
        self._left = maximum or sys.maxsize
        self._follow = follow
        self._on_corrupt = "skip" if skip_corrupt else "fail"

    def of_partitions(self, partition: int | None, offset: str) -> None:
        """One partition or all, one after the other, from ``offset`` on."""
        shown = self._client.call("GET", self._path)
        partitions = [one["partition"] for one in shown["partitions"]]
        if partition is not None:
            if partition not in partitions:
                raise CommandFailed(f"topic {self._topic} has no partition {partition}")
            partitions = [partition]
        positions = dict.fromkeys(partitions, offset)
        found = True
        while self._left and (found or self._follow):
            found = False
            for index in partitions:
                wait_ms = 0
                if self._follow and not found and index == partitions[-1]:
                    wait_ms = _WAIT_MS if len(partitions) == 1 else 500
                page = self._page(index, positions[index], wait_ms)
                positions[index] = str(page.next_offset)
                found = found or bool(page.records or page.skipped)
                if not self._left:
                    return

    def _page(self, index: int, offset: str, wait_ms: int) -> _Page:
        """One page, printed."""
        query = {
            **_AS_TEXT,
            "offset": offset,
            "max_records": min(self._left, _PAGE),
            "wait_ms": wait_ms or None,
            "on_corrupt": self._on_corrupt,
        }
        content = self._client.content("GET", f"{self._path}/partitions/{index}/records", query)
        try:
            page = _decode_page(content)
        except msgspec.MsgspecError as error:
            raise self._client.foreign_answer() from error
        place = msgspec.Raw(b"%d" % index)
        self._printer.show({"partition": place, **record} for record in page.records)
        tell_left_out(page.skipped)
        self._left -= len(page.records)
        return page

    def as_member(self, group: str, auto_offset_reset: str) -> None:
        """What the group hands to a member of it."""
        how = auto_offset_reset, self._on_corrupt
        with GroupMember(self._client, group, [self._topic], *how) as member:
            wait_ms = _WAIT_MS if self._follow else _SETTLE_MS
            for records in member.records(self._left, wait_ms, follow=self._follow):
                self._printer.show(
                    {name: content for name, content in record.items() if name != "topic"}
                    for record in records
                )

    def by_time(self, query: dict[str, Any]) -> None:
        """All partitions merged; ``query`` bounds them in time and says how fast."""
        path = f"{self._path}/records"
        query = {**query, **_AS_TEXT, "on_corrupt": self._on_corrupt}
        accept = "text/event-stream" if self._follow else "application/x-ndjson"
        lines = self._client.lines(path, query, accept)
        if self._follow:
            lines = (line[len(_DATA) :] for line in lines if line.startswith(_DATA))
        at_once = self._follow or query["speed"] is not None or sys.stdout.isatty()
        for line in lines:
            records = self._records(line)
            self._printer.show(records, at_once=at_once)
            self._left -= len(records)
            if not self._left:
                return

    def _records(self, line: bytes) -> list[Shown]:
        """One, or none where a line tells what was left out.

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
            return []
        if "offset" not in record:
            raise self._client.foreign_answer()
        return [record]
