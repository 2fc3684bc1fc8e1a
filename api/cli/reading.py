"""Records on their way from the broker to the printer: of partitions, of a group, of a time."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from tidelog.api.cli.client import Client, CommandFailed, path_of
from tidelog.api.cli.group_member import GroupMember
from tidelog.api.cli.printer import Printer, Shown

_PAGE = 1000
_WAIT_MS = 30_000
_SETTLE_MS = 1000
"""How long a member waits at a time for a rebalance to be over."""
_AS_TEXT = {"value": "text"}


class _Page(msgspec.Struct):
    records: list[Shown]
    next_offset: int


_decode_page = msgspec.json.Decoder(_Page).decode
_decode_record = msgspec.json.Decoder(Shown).decode


def read_partitions(
    client: Client,
    topic: str,
    partition: int | None,
    offset: str,
    printer: Printer,
    maximum: int | None,
    *,
    follow: bool,
) -> None:
    """One partition or all, one after the other. Raises CommandFailed."""
    path = path_of("topics", topic)
    partitions = [one["partition"] for one in client.call("GET", path)["partitions"]]
    if partition is not None:
        if partition not in partitions:
            raise CommandFailed(f"topic {topic} has no partition {partition}")
        partitions = [partition]
    positions = dict.fromkeys(partitions, offset)
    left = maximum or sys.maxsize
    while left > 0:
        found = 0
        for index in partitions:
            wanted = min(left, _PAGE)
            if wanted == 0:
                break
            query: dict[str, Any] = {**_AS_TEXT, "offset": positions[index], "max_records": wanted}
            if follow and not found and index == partitions[-1]:
                query["wait_ms"] = _WAIT_MS if len(partitions) == 1 else 500
            page = _page(client, f"{path}/partitions/{index}/records", query)
            place = msgspec.Raw(b"%d" % index)
            printer.show({"partition": place, **record} for record in page.records)
            positions[index] = str(page.next_offset)
            found += len(page.records)
            left -= len(page.records)
        if not found and not follow:
            return


def _page(client: Client, path: str, query: dict[str, Any]) -> _Page:
    try:
        return _decode_page(client.content("GET", path, query))
    except msgspec.MsgspecError as error:
        raise client.foreign_answer() from error


def read_as_member(
    client: Client,
    topic: str,
    group: str,
    auto_offset_reset: str,
    printer: Printer,
    maximum: int | None,
    *,
    follow: bool,
) -> None:
    """What the group hands to a member of it. Raises CommandFailed."""
    with GroupMember(client, group, topic, auto_offset_reset) as member:
        wait_ms = _WAIT_MS if follow else _SETTLE_MS
        for records in member.records(maximum or sys.maxsize, wait_ms, follow=follow):
            printer.show(
                {name: member for name, member in record.items() if name != "topic"}
                for record in records
            )


def replay(
    client: Client,
    topic: str,
    query: dict[str, Any],
    printer: Printer,
    maximum: int | None,
    *,
    follow: bool,
) -> None:
    """All partitions merged by time. Raises CommandFailed."""
    path = path_of("topics", topic, "records")
    query = {**query, **_AS_TEXT}
    if not follow:
        for line in client.lines(path, {**query, "max_records": maximum}):
            printer.show([_record(client, line)])
        return
    count = 0
    for line in client.lines(path, query, "text/event-stream"):
        if line.startswith(b"data: "):
            printer.show([_record(client, line[6:])])
            count += 1
            if count == maximum:
                return


def _record(client: Client, line: bytes) -> Shown:
    try:
        return _decode_record(line)
    except msgspec.MsgspecError as error:
        raise client.foreign_answer() from error
