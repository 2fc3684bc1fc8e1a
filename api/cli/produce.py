"""``tidelog produce``: from arguments, lines of standard input, NDJSON or CSV with a header."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, TextIO

import typer

from tidelog.api.cli.client import Client, CommandFailed, named_values, path_of
from tidelog.api.cli.options import Server, TopicName

_BATCH = 1000
_BATCH_BYTES = 512 * 1024


def produce(
    topic: TopicName,
    values: Annotated[
        list[str] | None, typer.Argument(help="Values; none: read standard input.")
    ] = None,
    key: Annotated[str | None, typer.Option("--key", "-k", help="The key of the values.")] = None,
    input_format: Annotated[
        str, typer.Option("--format", help="Of the input: lines, ndjson or csv.")
    ] = "lines",
    file: Annotated[
        typer.FileText | None, typer.Option(help="Read this instead of standard input.")
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
    """Write records to a topic."""
    headers = named_values(header or ())
    common: dict[str, Any] = {"headers": headers} if headers else {}
    if key is not None:
        common["key_text"] = key
    if values:
        records: Iterable[dict[str, Any]] = ({"value_text": value} for value in values)
    else:
        source: TextIO = sys.stdin if file is None else file
        records = _read(source, input_format, key_column, timestamp_column)
    try:
        count = _send(Client(server), topic, ({**common, **one} for one in records), acks)
    except UnicodeError as error:
        raise CommandFailed(f"what is to be written is not UTF-8: {error}") from error
    print(f"{count} record{'' if count == 1 else 's'} written to {topic}", file=sys.stderr)


def _read(
    source: TextIO, kind: str, key_column: str | None, timestamp_column: str | None
) -> Iterator[dict[str, Any]]:
    if kind == "lines":
        for line in source:
            yield {"value_text": line.rstrip("\n")}
    elif kind == "ndjson":
        for number, line in enumerate(source, 1):
            if line.strip():
                yield _json_record(line, number)
    elif kind == "csv":
        for row in csv.DictReader(source):
            yield _row(row, key_column, timestamp_column)
    else:
        raise CommandFailed(f"--format {kind}: expected lines, ndjson or csv")


def _json_record(line: str, number: int) -> dict[str, Any]:
    """A record object as the HTTP API takes it; any other JSON is a value."""
    try:
        parsed = json.loads(line)
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at column {error.pos + 1}"
        raise CommandFailed(f"line {number} is not JSON: {reason}") from error
    except ValueError as error:
        raise CommandFailed(f"line {number} is not JSON: {error}") from error
    fields = {"key", "value", "value_text", "value_base64", "key_text", "key_base64"}
    if isinstance(parsed, dict) and fields & parsed.keys():
        return parsed
    return {"value": parsed}


def _row(
    row: dict[str, str], key_column: str | None, timestamp_column: str | None
) -> dict[str, Any]:
    record: dict[str, Any] = {"value": row}
    for column in (key_column, timestamp_column):
        if column is not None and column not in row:
            raise CommandFailed(f"there is no column {column!r}; there are {', '.join(row)}")
    if key_column is not None:
        record["key_text"] = row[key_column]
    if timestamp_column is not None:
        try:
            record["timestamp"] = int(row[timestamp_column])
        except ValueError:
            raise CommandFailed(
                f"{row[timestamp_column]!r} in column {timestamp_column} is not milliseconds"
            ) from None
    return record


def _send(client: Client, topic: str, records: Iterable[dict[str, Any]], acks: str) -> int:
    """Send in batches; how many records were sent."""
    sent = 0
    with _progress() as advance:
        for batch, size in _batches(records):
            body = b'{"records":[' + b",".join(batch) + b"]}"
            client.post_raw(
                path_of("topics", topic, "records"), body, "application/json", {"acks": acks}
            )
            sent += len(batch)
            advance(len(batch), size)
    return sent


def _batches(records: Iterable[dict[str, Any]]) -> Iterator[tuple[list[bytes], int]]:
    batch: list[bytes] = []
    size = 0
    for record in records:
        encoded = json.dumps(record, ensure_ascii=False).encode()
        batch.append(encoded)
        size += len(encoded)
        if len(batch) == _BATCH or size >= _BATCH_BYTES:
            yield batch, size
            batch, size = [], 0
    if batch:
        yield batch, size


class _progress:
    """A progress line on a terminal, nothing elsewhere."""

    def __enter__(self) -> Any:
        self._bar = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("{task.completed:,.0f} records, {task.fields[rate]}"),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=None, rate="")
        return self._advance

    def _advance(self, records: int, size: int) -> None:
        if self._bar is not None:
            self._bar.advance(self._task, records)
            task = self._bar.tasks[0]
            rate = task.completed / task.elapsed if task.elapsed else 0
            self._bar.update(self._task, rate=f"{rate:,.0f}/s")

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
