"""``tidelog consume`` and ``tidelog replay``: print records, from an offset, a time or a group."""

from __future__ import annotations

from typing import Annotated

import typer

from tidelog.api.cli.client import Client, UsedWrongly
from tidelog.api.cli.options import Server, TopicName

_FORMATS = ("text", "ndjson", "raw")

Format = Annotated[
    str,
    typer.Option(
        "--format",
        help="text (key, tab, value and a line end), ndjson (a JSON object a line, as produce "
        "takes it) or raw (values with nothing between them); always the bytes that are stored.",
    ),
]
Max = Annotated[int | None, typer.Option("--max", "-n", min=1, help="Stop after so many.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Wait for more at the end.")]

SkipCorrupt = Annotated[
    bool,
    typer.Option("--skip-corrupt", help="Leave out what cannot be read, and say so; default: end."),
]


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
    skip_corrupt: SkipCorrupt = False,
    output: Format = "text",
    server: Server = None,
) -> None:
    """Print the records of a topic."""
    _check(output)
    if group is not None and (partition is not None or offset not in ("earliest", "latest")):
        raise UsedWrongly(
            "a group decides on partitions and offsets: with --group, give no --partition, "
            "and earliest or latest as the --offset where nothing is committed"
        )
    from tidelog.api.cli import reading
    from tidelog.api.cli.printer import Printer

    with Client(server) as client:
        printer = Printer(output)
        how = {"follow": follow, "skip_corrupt": skip_corrupt}
        to_print = reading.Reading(client, topic, printer, maximum, **how)
        if group is not None:
            to_print.as_member(group, offset)
        else:
            to_print.of_partitions(partition, offset)


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
    skip_corrupt: SkipCorrupt = False,
    output: Format = "text",
    server: Server = None,
) -> None:
    """Print the records of all partitions in order of time."""
    _check(output)
    from tidelog.api.cli import reading
    from tidelog.api.cli.printer import Printer

    query = {"from": since, "to": until, "speed": speed}
    with Client(server) as client:
        printer = Printer(output)
        how = {"follow": follow, "skip_corrupt": skip_corrupt}
        reading.Reading(client, topic, printer, maximum, **how).by_time(query)


def _check(output: str) -> None:
    """Raises UsedWrongly."""
    if output not in _FORMATS:
        raise UsedWrongly(f"--format {output}: expected text, ndjson or raw")
