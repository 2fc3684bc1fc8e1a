"""``tidelog produce``: from arguments, lines of standard input, NDJSON, CSV or as it is."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, NamedTuple, cast

import typer

from tidelog.api.cli import interrupts
from tidelog.api.cli.client import Client, named_values
from tidelog.api.cli.encoded import Base64, encoded_parts
from tidelog.api.cli.escapes import unescaped
from tidelog.api.cli.failures import CommandFailed, UsedWrongly
from tidelog.api.cli.options import Server, TopicName
from tidelog.api.cli.output import counted

if TYPE_CHECKING:
    from tidelog.api.cli.input_records import Common, InputRecord
    from tidelog.api.cli.input_text import LineForm
    from tidelog.api.cli.sending import Sending

_FORMATS = ("lines", "ndjson", "csv", "raw")
_ENVELOPES = ("auto", "always", "never")
_KEPT = {"time": ("timestamp",), "partition": ("partition",), "both": ("partition", "timestamp")}
_ACKS = ("all", "-1", "1", "0")

HELP = """Write records to a topic, byte for byte.

Input that pauses is written up to there: tail -f x | tidelog produce t writes lines as they come.

Where not all of them are written, the exit status is 1, and what is said names the line that is \
to blame and how many records are written.

--envelope says which lines of NDJSON are records, {"key", "value", "headers", "partition", \
"timestamp"} as the HTTP API takes them, and which are values as they stand. always: every line \
is a record. never: every line is a value. auto: the first line decides for all; they are \
records if it is an object with a value and no fields but those of a record.

Of records that consume has printed, key, value and headers are written; offset, partition and \
time are those of where they were read. --keep writes the last two as well: a topic that was \
printed to a file is what it was."""


class _Input(NamedTuple):
    """What to read and how."""

    values: list[str]
    file: typer.FileBinaryRead | None
    format: str
    tombstone: bool
    envelope: str
    keep: str | None
    delimiter: str | None
    key_column: str | None
    timestamp_column: str | None
    key_delimiter: str | None
    null: str | None
    base64: str | None


_Values = Annotated[list[str] | None, typer.Argument(help="Values; none: read standard input.")]
_Key = Annotated[str | None, typer.Option("--key", "-k", help="The key of the values.")]
_Tombstone = Annotated[
    bool, typer.Option("--tombstone", help="One record without a value; with --key.")
]
_Partition = Annotated[
    int | None,
    typer.Option(
        "--partition", "-p", metavar="N", min=0, help="Default: by key, or in turns without one."
    ),
]
_Format = Annotated[
    str,
    typer.Option(
        "--format",
        help="Of the input: lines (a value each, any bytes), ndjson, csv (with a header) or "
        "raw (all of it is one value).",
    ),
]
_File = Annotated[
    typer.FileBinaryRead | None,
    typer.Option(metavar="FILE", help="Read this instead of standard input."),
]
_KeyDelimiter = Annotated[
    str | None,
    typer.Option(
        "--key-delimiter", "-K", metavar="TEXT", help="Lines: what is between key and value."
    ),
]
_Null = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT", help="Lines: a key or value that is TEXT is none; '' for empty ones."
    ),
]
_EmptyIsNull = Annotated[bool, typer.Option("-Z", help="As --null ''.")]
_EnvelopeName = Annotated[str, typer.Option("--envelope", help="NDJSON: auto, always or never.")]
_Keep = Annotated[
    str | None,
    typer.Option(
        metavar="WHAT", help="NDJSON of consume: time, partition or both are written too."
    ),
]
_Delimiter = Annotated[
    str | None, typer.Option(help="CSV: what is between fields; default a comma.")
]
_KeyColumn = Annotated[str | None, typer.Option(help="CSV: the column that is the key.")]
_TimestampColumn = Annotated[
    str | None, typer.Option(help="CSV: the column with milliseconds since the epoch.")
]
_Headers = Annotated[
    list[str] | None, typer.Option("--header", "-H", metavar="NAME=VALUE", help="Repeatable.")
]


def produce(
    topic: TopicName,
    values: _Values = None,
    key: _Key = None,
    tombstone: _Tombstone = False,
    partition: _Partition = None,
    header: _Headers = None,
    input_format: _Format = "lines",
    file: _File = None,
    key_delimiter: _KeyDelimiter = None,
    null: _Null = None,
    empty_is_null: _EmptyIsNull = False,
    base64: Base64 = None,
    envelope: _EnvelopeName = "auto",
    keep: _Keep = None,
    delimiter: _Delimiter = None,
    key_column: _KeyColumn = None,
    timestamp_column: _TimestampColumn = None,
    acks: Annotated[str, typer.Option(help="all, 1 or 0.")] = "all",
    server: Server = None,
) -> None:
    """See ``HELP``."""
    given = _Input(
        *(values or [], file, input_format, tombstone),
        *(envelope, keep),
        *(delimiter, key_column, timestamp_column),
        *(key_delimiter, "" if empty_is_null and null is None else null, base64),
    )
    _check(given, key, acks)
    headers = named_values(header or ())
    _check_text(headers)
    from tidelog.api.cli.input_records import Common
    from tidelog.api.cli.progress import Progress
    from tidelog.api.cli.sending import Sending

    common = Common(None if key is None else os.fsencode(key), headers, partition)
    typed = not given.values and given.file is None and sys.stdin.isatty()
    with Client(server) as client:
        sending = Sending(client, topic, acks, Progress(typed=typed))
        records = _records(given, common, sending.pause)
        _send(sending, records, "value" if values else "line")
    print(f"{counted(sending.written, 'record')} written to {topic}", file=sys.stderr)


def _check(given: _Input, key: str | None, acks: str) -> None:
    """Raises UsedWrongly."""
    for option, value, known in (
        ("--format", given.format, _FORMATS),
        ("--envelope", given.envelope, _ENVELOPES),
        ("--acks", acks, _ACKS),
        ("--keep", given.keep or "both", (*_KEPT,)),
    ):
        if value not in known:
            expected = f"{', '.join(known[:-1])} or {known[-1]}"
            raise UsedWrongly(f"{option} {value}: expected {expected}")
    if given.values and (given.file is not None or given.format in ("csv", "raw")):
        raise UsedWrongly("with values on the command line there is no --file, no csv and no raw")
    if given.tombstone and (key is None or given.values or given.file is not None):
        raise UsedWrongly("--tombstone needs a --key, and takes no values and no --file")
    of_csv = (given.delimiter, given.key_column, given.timestamp_column)
    if given.format != "csv" and any(one is not None for one in of_csv):
        raise UsedWrongly("--delimiter, --key-column and --timestamp-column go with --format csv")
    if given.format != "ndjson" and (given.envelope != "auto" or given.keep is not None):
        raise UsedWrongly("--envelope and --keep go with --format ndjson")
    of_lines = (given.key_delimiter, given.null, given.base64)
    if given.format != "lines" and any(one is not None for one in of_lines):
        raise UsedWrongly("--key-delimiter, --null, -Z and --base64 go with --format lines")
    encoded_parts(given.base64)
    if given.key_delimiter == "":
        raise UsedWrongly("--key-delimiter has at least one character")
    if given.key_delimiter is not None and key is not None:
        raise UsedWrongly("give --key or --key-delimiter, not both")


def _records(
    given: _Input, common: Common, before_waiting: Callable[[], None]
) -> Iterator[InputRecord]:
    """Raises UsedWrongly; BadLine as they are taken."""
    from tidelog.api.cli import input_records
    from tidelog.api.cli.input_lines import Line, lines_of

    source: io.BufferedIOBase = given.file or cast("io.BufferedReader", sys.stdin.buffer)
    if given.tombstone:
        members = [b'"value":null', *common.members()]
        return iter([input_records.InputRecord(1, members)])
    if given.format == "raw":
        return input_records.whole_input(source, common)
    if given.values:
        values = enumerate(map(os.fsencode, given.values), 1)
        lines: Iterator[Line] = (Line(number, value + b"\n") for number, value in values)
    else:
        lines = lines_of(source, before_waiting)
    if given.format == "csv":
        from tidelog.api.cli.input_csv import Columns, csv_records, delimiter_of

        delimiter = "," if given.delimiter is None else delimiter_of(given.delimiter)
        columns = Columns(delimiter, given.key_column, given.timestamp_column)
        return csv_records(lines, columns, common)
    if given.format == "ndjson":
        envelope = input_records.Envelope(given.envelope)
        kept = _KEPT[given.keep] if given.keep is not None else ()
        return input_records.json_records(lines, envelope, common, kept)
    from tidelog.api.cli.input_text import line_records

    return line_records(lines, _line_form(given), common)


def _line_form(given: _Input) -> LineForm:
    from tidelog.api.cli.input_text import LineForm

    return LineForm(
        None if given.key_delimiter is None else os.fsencode(unescaped(given.key_delimiter)),
        None if given.null is None else os.fsencode(given.null),
        encoded_parts(given.base64),
    )


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
    except interrupts.ENDED as ended:
        interrupts.heard()
        print(f"tidelog: {interrupts.word_for(ended)}; {_so_far(sending, noun)}", file=sys.stderr)
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
    return f"{counted(count, 'record')}{which} {'is' if count == 1 else 'are'} written"
