"""``tidelog log``: read a data directory without a broker; dump records, verify every byte."""

from __future__ import annotations

import base64
import json as jsonlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from tidelog.api.cli.command_group import command_group
from tidelog.api.cli.failures import CommandFailed
from tidelog.api.cli.options import Json
from tidelog.api.cli.output import print_json, print_table, size
from tidelog.storage.batches.compression import CODEC_NAMES
from tidelog.storage.batches.record import encode_name
from tidelog.storage.batches.record_batch import decode_records
from tidelog.storage.errors import StorageError
from tidelog.storage.files import Disk
from tidelog.storage.local import file_names
from tidelog.storage.local.batch_file import scan
from tidelog.storage.local.file_names import parse_partition_directory_name, parse_segment_file_name

app = command_group("Dump and verify the logs of a data directory.")

DataDir = Annotated[Path, typer.Argument(help="A data directory, or one partition's.")]


def _partitions(data_dir: Path) -> list[Path]:
    if not data_dir.is_dir():
        raise CommandFailed(f"{data_dir} is not a directory")
    if any(data_dir.glob("*" + file_names.LOG)):
        return [data_dir]
    found = [
        path
        for path in sorted(data_dir.iterdir())
        if path.is_dir() and parse_partition_directory_name(path.name)
    ]
    if not found:
        raise CommandFailed(f"{data_dir} holds no logs")
    return found


def _logs(partition: Path) -> Iterator[Path]:
    for path in sorted(partition.glob("*" + file_names.LOG)):
        if parse_segment_file_name(path.name):
            yield path


@app.command()
def verify(data_dir: DataDir, json: Json = False) -> None:
    """Check every batch; the exit status is 1 if any is damaged."""
    results = [_verify(path) for partition in _partitions(data_dir) for path in _logs(partition)]
    if json:
        print_json(results)
    else:
        print_table(
            "Segments",
            ("file", "batches", "records", "size", "state"),
            [
                (
                    one["file"],
                    one["batches"],
                    one["records"],
                    size(int(str(one["bytes"]))),
                    one["error"] or "sound",
                )
                for one in results
            ],
        )
    if any(one["error"] for one in results):
        raise typer.Exit(1)


def _verify(path: Path) -> dict[str, object]:
    file = Disk().open(str(path))
    batches = records = 0
    next_offset, error = -1, None
    try:
        for batch in scan(file, 0, file.size, check=True):
            if batch.header.base_offset < next_offset:
                error = f"offset {batch.header.base_offset} repeats at byte {batch.position}"
                break
            decoded = decode_records(batch.data)
            batches += 1
            records += len(decoded)
            next_offset = batch.header.next_offset
    except StorageError as failed:
        error = f"{failed}; the last sound offset is {next_offset - 1}"
    return {
        "file": str(path),
        "batches": batches,
        "records": records,
        "bytes": file.size,
        "error": error,
    }


@app.command()
def dump(
    data_dir: DataDir,
    records: Annotated[bool, typer.Option("--records", help="Records, not only batches.")] = False,
    from_offset: Annotated[int, typer.Option(help="Begin with this offset.")] = 0,
) -> None:
    """Print batches or records, one JSON object a line."""
    for partition in _partitions(data_dir):
        for path in _logs(partition):
            try:
                _dump(path, partition.name, records, from_offset)
            except StorageError as error:
                raise CommandFailed(str(error)) from error


def _dump(path: Path, partition: str, records: bool, from_offset: int) -> None:
    file = Disk().open(str(path))
    for batch in scan(file, 0, file.size, check=True):
        header = batch.header
        if header.last_offset < from_offset:
            continue
        if not records:
            shown = {
                "log": partition,
                "position": batch.position,
                **header._asdict(),
                "codec": CODEC_NAMES[header.codec],
            }
            print(jsonlib.dumps(shown))
            continue
        for record in decode_records(batch.data):
            if record.offset >= from_offset:
                headers = [
                    [_text(encode_name(name)), _text(value)] for name, value in record.headers
                ]
                shown = {**record._asdict(), "key": _text(record.key), "headers": headers}
                shown["value"] = _text(record.value)
                print(jsonlib.dumps({"log": partition, **shown}, ensure_ascii=False))


def _text(data: bytes | None) -> str | None:
    """UTF-8 as text, anything else in base64 behind a mark."""
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(data).decode()
