"""``tidelog consume`` and ``tidelog replay``: print records, from an offset, a time or a group."""

from __future__ import annotations

import json as jsonlib
import sys
from typing import Annotated, Any

import typer

from tidelog.api.cli.client import Client, CommandFailed, path_of
from tidelog.api.cli.group_member import GroupMember
from tidelog.api.cli.options import Server, TopicName

_PAGE = 1000
_WAIT_MS = 30_000
_SETTLE_MS = 1000
"""How long a member waits at a time for a rebalance to be over."""

Format = Annotated[str, typer.Option("--format", help="text (key and value) or ndjson.")]
Max = Annotated[int | None, typer.Option("--max", "-n", min=1, help="Stop after so many.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Wait for more at the end.")]


def consume(
    topic: TopicName,
    partition: Annotated[
        int | None, typer.Option("--partition", "-p", help="Only this one; default all.")
    ] = None,
    offset: Annotated[
        str, typer.Option("--offset", "-o", help="earliest, latest, a number, -N or ts:TIME.")
    ] = "earliest",
    group: Annotated[
        str | None,
        typer.Option("--group", "-g", help="As a member of it; commits."),
    ] = None,
    follow: Follow = False,
    maximum: Max = None,
    output: Format = "text",
    server: Server = None,
) -> None:
    """Print the records of a topic."""
    client = Client(server)
    printer = _Printer(output)
    most = maximum or sys.maxsize
    if group is not None:
        if partition is not None or offset not in ("earliest", "latest"):
            raise CommandFailed(
                "a group decides on partitions and offsets: with --group, give no --partition, "
                "and earliest or latest as the --offset where nothing is committed"
            )
        member = GroupMember(client, group, topic, offset)
        _consume_as_member(member, printer, most, follow)
        return
    place = path_of("topics", topic)
    shown = client.call("GET", place)
    partitions = [one["partition"] for one in shown["partitions"]]
    if partition is not None:
        if partition not in partitions:
            raise CommandFailed(f"topic {topic} has no partition {partition}")
        partitions = [partition]
    _consume_partitions(client, place, dict.fromkeys(partitions, offset), printer, most, follow)


def _consume_partitions(
    client: Client,
    topic: str,
    positions: dict[int, str],
    printer: _Printer,
    most: int,
    follow: bool,
) -> None:
    """``topic`` is its path, ``positions`` where to begin in each partition."""
    partitions = list(positions)
    left = most
    while left > 0:
        found = 0
        for index in partitions:
            wait_ms = _WAIT_MS if follow and not found and index == partitions[-1] else 0
            wanted = min(left, _PAGE)
            if wanted == 0:
                break
            query = {"offset": positions[index], "max_records": wanted}
            if wait_ms:
                query["wait_ms"] = wait_ms if len(partitions) == 1 else 500
            answer = client.call("GET", f"{topic}/partitions/{index}/records", query)
            for record in answer["records"]:
                printer.show({"partition": index, **record})
            positions[index] = str(answer["next_offset"])
            found += len(answer["records"])
            left -= len(answer["records"])
        if not found and not follow:
            return


def _consume_as_member(member: GroupMember, printer: _Printer, most: int, follow: bool) -> None:
    with member:
        for records in member.records(most, _WAIT_MS if follow else _SETTLE_MS, follow=follow):
            for record in records:
                printer.show({name: value for name, value in record.items() if name != "topic"})


def replay(
    topic: TopicName,
    since: Annotated[
        str | None, typer.Option("--from", help="First time: RFC 3339 or milliseconds.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="Time to stop before.")] = None,
    speed: Annotated[
        str | None, typer.Option(help="1x is the pace of the records' times; default: at once.")
    ] = None,
    follow: Follow = False,
    maximum: Max = None,
    output: Format = "text",
    server: Server = None,
) -> None:
    """Print the records of all partitions in order of time."""
    client = Client(server)
    printer = _Printer(output)
    query = {"from": since, "to": until, "speed": speed, "max_records": maximum}
    path = path_of("topics", topic, "records")
    if not follow:
        for line in client.lines(path, query):
            printer.show(jsonlib.loads(line))
        return
    count = 0
    for line in client.lines(path, {**query, "max_records": None}, "text/event-stream"):
        if line.startswith(b"data: "):
            printer.show(jsonlib.loads(line[6:]))
            count += 1
            if maximum is not None and count >= maximum:
                return


class _Printer:
    """Prints one record after the other."""

    def __init__(self, output: str) -> None:
        """Raises CommandFailed for an unknown format."""
        if output not in ("text", "ndjson"):
            raise CommandFailed(f"--format {output}: expected text or ndjson")
        self._text = output == "text"

    def show(self, record: dict[str, Any]) -> None:
        if not self._text:
            print(jsonlib.dumps(record, ensure_ascii=False))
        else:
            key = record.get("key", record.get("key_base64"))
            print(f"{'' if key is None else key}\t{_value(record)}")
        if sys.stdout.isatty():
            sys.stdout.flush()


def _value(record: dict[str, Any]) -> str:
    if "value" in record:
        value = record["value"]
        return "" if value is None else jsonlib.dumps(value, ensure_ascii=False)
    return str(record.get("value_text", record.get("value_base64", "")))
