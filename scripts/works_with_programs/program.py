"""What a program is that the table tells of, and what it is run against."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).parent / "sources"
COUNT = 100
PATIENCE_S = 240


class Failed(Exception):
    """A program did not do what it should; the text says what."""


@dataclass(frozen=True)
class Site:
    """A broker, and a directory that ends with the program; ``cache`` stays.

    The topics ``source`` and ``target`` are there and empty; no other program knows them.
    """

    http: str
    bootstrap: str
    directory: Path
    cache: Path
    source: str
    target: str

    @property
    def group(self) -> str:
        return f"{self.source}-readers"

    def ask(self, path: str, body: object = None) -> Any:
        """The answer of the broker's own HTTP API."""
        request = urllib.request.Request(
            self.http + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def fill(self) -> None:
        """Write the records that a program copies."""
        records = [{"key": f"key {n}", "value_text": f"value {n}"} for n in range(COUNT)]
        self.ask(f"/v1/topics/{self.source}/records", {"records": records})

    def values(self, topic: str, wait_ms: int = 0) -> list[str]:
        """Of all records of a topic; where there are none, of those that come within so long."""
        path = f"/v1/topics/{topic}/partitions/0/records"
        query = {"offset": 0, "max_records": 10 * COUNT, "wait_ms": wait_ms, "value": "text"}
        records = self.ask(f"{path}?{urllib.parse.urlencode(query)}")["records"]
        return [record["value_text"] for record in records]


@dataclass(frozen=True)
class Program:
    """``run`` does a round trip and gives the version that did it. Raises Failed.

    ``needs`` are programs that this machine must have; ``text`` says what the round trip is.
    """

    name: str
    text: str
    run: Callable[[Site], str]
    needs: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        """What this machine lacks for it."""
        path = f"{os.environ['PATH']}:/usr/sbin"
        return [program for program in self.needs if shutil.which(program, path=path) is None]


def finish(command: list[str], patience_s: float = PATIENCE_S, **options: Any) -> str:
    """Run to the end; what it printed. Raises Failed."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=patience_s, check=False, **options
        )
    except subprocess.TimeoutExpired as late:
        raise Failed(f"it did not end within {patience_s} s") from late
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise Failed(f"status {done.returncode}: {lines[-1]}")
    return done.stdout
