"""``tidelog produce``: from arguments, lines of standard input, NDJSON, CSV or as it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from tidelog.api.cli.client import Client, CommandFailed, UsedWrongly, named_values
from tidelog.api.cli.options import Server, TopicName

if TYPE_CHECKING:
    from tidelog.api.cli.input_records import InputRecord
    from tidelog.api.cli.sending import Sending

_FORMATS = ("lines", "ndjson", "csv", "raw")
_ENVELOPES = ("auto", "always", "never")
_ACKS = ("all", "-1", "1", "0")

HELP = """Write records to a topic, byte for byte.

Where not all of them are written, the exit status is 1, and what is said names the line that is \
to blame and how many records are written.

--envelope says which lines of NDJSON are records, {"key", "value", "headers", "partition", \
"timestamp"} as the HTTP API takes them, and which are values as they stand. always: every line \
is a record. never: every line is a value. auto: the first line decides for all; they are \
records if it is an object with a value and no fields but those of a record.

Of records that consume has printed, key, value and headers are written; offset, partition and \
time are those of where they were read."""


class _Input(NamedTuple):
    """What to read and how."""

    values: list[str]
    file: typer.FileBinaryRead | None
    format: str
    envelope: str
    delimiter: str | None
    key_column: str | None
    timestamp_column: str | None


def produce(
    topic: TopicName,
    values: Annotated[
        list[str] | None, typer.Argument(help="Values; none: read standard input.")
    ] = None,
    key: Annotated[str | None, typer.Option("--key", "-k", help="The key of the values.")] = None,
    input_format: Annotated[
        str,
        typer.Option(
            "--format",
            help="Of the input: lines (a value each, any bytes), ndjson, csv (with a header) or "
            "raw (all of it is one value).",
        ),
    ] = "lines",
    file: Annotated[
        typer.FileBinaryRead | None,
        typer.Option(metavar="FILE", help="Read this instead of standard input."),
    ] = None,
    envelope: Annotated[str, typer.Option(help="NDJSON: auto, always or never.")] = "auto",
    delimiter: Annotated[
        str | None, typer.Option(help="CSV: what is between fields; default a comma.")
    ] = None,
    key_column: Annotated[str | None, typer.Option(help="CSV: the column that is the key.")] = None,
    timestamp_column: Annotated[
        str | None, typer.Option(help="CSV: the column with milliseconds since the epoch.")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", metavar="NAME=VALUE", help="Repeatable.")
    ] = None,
    acks: Annotated[str, typer.Option(help="all, 1 or 0.")] = "all",
    server: Server = None,
) -> None:
    """See ``HELP``."""
    given = _Input(
        values or [], file, input_format, envelope, delimiter, key_column, timestamp_column
    )
    _check(given, acks)
    headers = named_values(header or ())
    from tidelog.api.cli.sending import Sending

    with Client(server) as client:
        sending = Sending(client, topic, acks)
        _send(sending, _records(given, key, headers), "value" if values else "line")
    print(f"{_count(sending.written)} written to {topic}", file=sys.stderr)


def _check(given: _Input, acks: str) -> None:
    """Raises UsedWrongly."""
    for option, value, known in (
        ("--format", given.format, _FORMATS),
        ("--envelope", given.envelope, _ENVELOPES),
        ("--acks", acks, _ACKS),
    ):
        if value not in known:
            expected = f"{', '.join(known[:-1])} or {known[-1]}"
            raise UsedWrongly(f"{option} {value}: expected {expected}")
    if given.values and (given.file is not None or given.format in ("csv", "raw")):
        raise UsedWrongly("with values on the command line there is no --file, no csv and no raw")
    of_csv = (given.delimiter, given.key_column, given.timestamp_column)
    if given.format != "csv" and any(one is not None for one in of_csv):
        raise UsedWrongly("--delimiter, --key-column and --timestamp-column go with --format csv")
    if given.format != "ndjson" and given.envelope != "auto":
        raise UsedWrongly("--envelope goes with --format ndjson")


def _records(given: _Input, key: str | None, headers: dict[str, str]) -> Iterator[InputRecord]:
    """Raises UsedWrongly; BadLine as they are taken."""
    from tidelog.api.cli import input_records
    from tidelog.api.cli.input_lines import Line, lines_of

    _check_text(headers)
    common = input_records.Common(None if key is None else os.fsencode(key), headers)
    source = sys.stdin.buffer if given.file is None else given.file
    if given.format == "raw":
        return input_records.whole_input(source, common)
    if given.values:
        values = enumerate(map(os.fsencode, given.values), 1)
        lines: Iterator[Line] = (Line(number, value + b"\n") for number, value in values)
    else:
        lines = lines_of(source)
    if given.format == "csv":
        from tidelog.api.cli.input_csv import Columns, csv_records, delimiter_of

        delimiter = "," if given.delimiter is None else delimiter_of(given.delimiter)
        columns = Columns(delimiter, given.key_column, given.timestamp_column)
        return csv_records(lines, columns, common)
    if given.format == "ndjson":
        envelope = input_records.Envelope(given.envelope)
        return input_records.json_records(lines, envelope, common)
    return input_records.line_records(lines, common)


def _check_text(headers: dict[str, str]) -> None:
    for text in (*headers, *headers.values()):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UsedWrongly(f"--header: {text!a} is not UTF-8") from error


def _send(sending: Sending, records: Iterator[InputRecord], noun: str) -> None:
    """Raises CommandFailed that says how much is written; ``noun`` is what is numbered."""
    from tidelog.api.cli.input_lines import BadLine

    try:
        sending.send(records)
    except BadLine as error:
        what = f"{noun} {error.line} {error.reason}"
        raise CommandFailed(f"{what}; {_written(sending.written, ' before it')}") from error
    except CommandFailed as error:
        raise CommandFailed(f"{error}; {_so_far(sending, noun)}") from error
    except KeyboardInterrupt:
        print(f"tidelog: interrupted; {_so_far(sending, noun)}", file=sys.stderr)
        raise


def _so_far(sending: Sending, noun: str) -> str:
    written = _written(sending.written)
    if not sending.unknown:
        return written
    first, last = sending.unknown[0], sending.unknown[-1]
    which = f"{noun} {first} is" if first == last else f"{noun}s {first} to {last} are"
    unknown = f"whether {which} written is not known"
    return f"{written}, and {unknown}" if sending.written else unknown


def _written(count: int, which: str = "") -> str:
    if not count:
        return "nothing was written"
    return f"{_count(count)}{which} {'is' if count == 1 else 'are'} written"


def _count(records: int) -> str:
    return f"{records} record{'' if records == 1 else 's'}"
