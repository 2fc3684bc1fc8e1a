"""``tidelog consume`` and ``tidelog replay``: print records, from an offset, a time or a group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tidelog.api.cli import completion
from tidelog.api.cli.client import Client
from tidelog.api.cli.encoded import Base64, encoded_parts
from tidelog.api.cli.failures import UsedWrongly
from tidelog.api.cli.options import Server

if TYPE_CHECKING:
    from tidelog.api.cli.printer import Printer
    from tidelog.api.cli.record_filter import RecordFilter

_FORMATS = ("text", "ndjson", "raw")

_Topics = Annotated[
    list[str], typer.Argument(help="Topics' names.", autocompletion=completion.topics)
]
_Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        show_default=False,
        help="text (key, tab, value and a line end; the default), ndjson (a JSON object a line, as "
        "produce takes it), raw (values with nothing between them), or a format string, which "
        "holds a %: '%t [%p] at %o: %k: %s\\n' as kcat has it (also %T time, %h headers, %S and "
        "%K lengths); always the bytes that are stored.",
    ),
]
_Max = Annotated[
    int | None, typer.Option("--max", "-n", metavar="N", min=1, help="Stop after so many.")
]
_Follow = Annotated[
    int,
    typer.Option(
        "--follow",
        "-f",
        count=True,
        metavar="<bool>",
        show_default=False,
        help="Wait for more at the end. -f with what holds a % after it is --format.",
    ),
]
SkipCorrupt = Annotated[
    bool,
    typer.Option("--skip-corrupt", help="Leave out what cannot be read, and say so; default: end."),
]
_KeyDelimiter = Annotated[
    str | None,
    typer.Option(
        "--key-delimiter", "-K", metavar="TEXT", help="Text: between key and value; default a tab."
    ),
]
_Null = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="What is printed for a key or value that is none."),
]
MatchKey = Annotated[
    str | None,
    typer.Option(metavar="REGEX", help="Only records whose key matches, anywhere in it (RE2)."),
]
MatchValue = Annotated[str | None, typer.Option(metavar="REGEX", help="The same of the value.")]
MatchHeader = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=REGEX", help="The same of a header; NAME: there is one."),
]
FromOffset = Annotated[
    str,
    typer.Option(
        *("--offset", "-o", "--from"),
        metavar="OFFSET",
        help="earliest, latest, an offset, -N for the last N, or a time: 2013-07-04, "
        "2013-07-04T12:00Z, -1h, ts:MILLISECONDS.",
    ),
]
Until = Annotated[
    str | None,
    typer.Option(
        *("--until", "--to"),
        metavar="OFFSET",
        help="Stop before it: an offset, -N, latest or a time as in --offset.",
    ),
]
_Partition = Annotated[
    int | None, typer.Option("--partition", "-p", metavar="N", help="Only this one; default all.")
]
_Group = Annotated[
    str | None,
    typer.Option(
        *("--group", "-g"),
        metavar="GROUP",
        help="As a member of it; commits.",
        autocompletion=completion.groups,
    ),
]


def consume(
    topics: _Topics,
    partition: _Partition = None,
    offset: FromOffset = "earliest",
    until: Until = None,
    group: _Group = None,
    follow: _Follow = 0,
    maximum: _Max = None,
    match_key: MatchKey = None,
    match_value: MatchValue = None,
    match_header: MatchHeader = None,
    output: _Format = None,
    key_delimiter: _KeyDelimiter = None,
    null: _Null = None,
    base64: Base64 = None,
    skip_corrupt: SkipCorrupt = False,
    server: Server = None,
) -> None:
    """Print the records of topics.

    To their present end or, with --follow, beyond it; with --group, from where the group was.
    """
    if group is not None and (
        partition is not None or until is not None or offset not in ("earliest", "latest")
    ):
        raise UsedWrongly(
            "a group decides on partitions and offsets: with --group, give no --partition and no "
            "--until, and earliest or latest as the --offset where nothing is committed"
        )
    names, follow, output = _format_of(topics, follow, output)
    from tidelog.api.cli import reading
    from tidelog.api.cli.bounds import beginning_of

    printer = _printer(output, names, key_delimiter, null, base64)
    wanted = record_filter(match_key, match_value, match_header)
    extent = reading.Extent(maximum, follow > 0, skip_corrupt)
    with Client(server) as client:
        to_print = reading.Reading(client, names, printer, wanted, extent)
        if group is not None:
            to_print.as_member(group, offset)
        else:
            to_print.of_partitions(partition, beginning_of(offset), until)


def replay(
    topics: _Topics,
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="First time: 2013-07-04, -1h, milliseconds, …"),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", "--until", metavar="TIME", help="Time to stop before.")
    ] = None,
    speed: Annotated[
        str | None, typer.Option(help="1x is the pace of the records' times; default: at once.")
    ] = None,
    follow: _Follow = 0,
    maximum: _Max = None,
    match_key: MatchKey = None,
    match_value: MatchValue = None,
    match_header: MatchHeader = None,
    output: _Format = None,
    key_delimiter: _KeyDelimiter = None,
    null: _Null = None,
    base64: Base64 = None,
    skip_corrupt: SkipCorrupt = False,
    server: Server = None,
) -> None:
    """Print the records of all partitions in order of time.

    To the present end or, with --follow, beyond it.
    """
    names, follow, output = _format_of(topics, follow, output)
    if len(names) > 1 and (follow or speed is not None):
        raise UsedWrongly("--follow and --speed go with one topic")
    from tidelog.api.cli import reading

    printer = _printer(output, names, key_delimiter, null, base64)
    wanted = record_filter(match_key, match_value, match_header)
    extent = reading.Extent(maximum, follow > 0, skip_corrupt)
    query = {"from": since, "to": until, "speed": speed}
    with Client(server) as client:
        reading.Reading(client, names, printer, wanted, extent).by_time(query)


def _format_of(topics: list[str], follow: int, output: str | None) -> tuple[list[str], int, str]:
    """Topics, ``--follow`` and ``--format``: no topic has a ``%`` in its name.

    ``-f FORMAT`` is taken as ``--follow`` and a topic more. Raises UsedWrongly.
    """
    formats = [one for one in topics if "%" in one]
    names = [one for one in dict.fromkeys(topics) if "%" not in one]
    if len(formats) > 1 or (formats and output is not None):
        raise UsedWrongly("more than one --format is given")
    if formats and not follow:
        raise UsedWrongly(f"{formats[0]!r} is no topic; a format string comes after --format or -f")
    if not names:
        raise UsedWrongly("no topic is given")
    if formats:
        return names, follow - 1, formats[0]
    output = output or "text"
    if output not in _FORMATS and "%" not in output:
        raise UsedWrongly(
            f"--format {output}: expected text, ndjson or raw, or a format string with a %"
        )
    return names, follow, output


def _printer(
    output: str, topics: list[str], key_delimiter: str | None, null: str | None, base64: str | None
) -> Printer:
    """Raises UsedWrongly."""
    from tidelog.api.cli.printer import Printer, PrintForm

    if key_delimiter is not None and output != "text":
        raise UsedWrongly("--key-delimiter goes with --format text")
    if output == "ndjson" and (null is not None or base64 is not None):
        raise UsedWrongly("--null and --base64 do not go with --format ndjson")
    delimiter = "\t" if key_delimiter is None else key_delimiter
    encoded = encoded_parts(base64)
    return Printer(PrintForm(output, delimiter, null or "", encoded, tells_topic=len(topics) > 1))


def record_filter(key: str | None, value: str | None, headers: list[str] | None) -> RecordFilter:
    """Of the options of these names. Raises UsedWrongly."""
    from tidelog.api.cli.record_filter import Expressions, RecordFilter

    return RecordFilter(Expressions(key, value, headers or ()))
