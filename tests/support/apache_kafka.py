"""Apache Kafka beside Tidelog: its tools, its reader of log files, a broker of it.

A script outside the repository fetches and starts it (Java and Maven do the work):
``TIDELOG_KAFKA_TOOL`` names it, else it is ``../shared/kafka/kafka`` beside the repository.
Where something is missing, tests that ask for it are skipped and say what. Starting a Java
program costs about a second: ``tools`` runs several in one.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

_BESIDE = Path(__file__).resolve().parents[3] / "shared" / "kafka" / "kafka"
_INT32 = struct.Struct(">i")
_PORTS = 10_000, 30_000
_TOOL_TIMEOUT_S = 120
_FETCH_TIMEOUT_S = 600


class ApacheKafka:
    """Its programs, as the script runs them."""

    def __init__(self, script: Path) -> None:
        self._script = str(script)

    def run(
        self, main_class: str, *arguments: str, stdin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a main class to its end; with ``check`` a bad exit status fails the test."""
        done = subprocess.run(
            [self._script, "run", main_class, *arguments],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=_TOOL_TIMEOUT_S,
        )
        if check:
            said = f"{main_class} {' '.join(arguments)}\n{done.stdout}{done.stderr}"
            assert done.returncode == 0, said
        return done

    def tools(self) -> KafkaTools:
        """Its command line programs, in one process. Stop it afterwards."""
        return KafkaTools(self._script)

    def check_files(self, paths: Iterable[Path], *, compacted: bool = False) -> int:
        """Have it read log files, indexes and snapshots; the number of batches it found.

        Fails if it finds fault with any. It calls every gap in the offsets a fault, which is
        passed over where they were ``compacted``.
        """
        files = ",".join(map(str, paths))
        run = self.run(
            "org.apache.kafka.tools.DumpLogSegments", "--deep-iteration", "--files", files
        )
        assert "isvalid: false" not in run.stdout
        assert "invalid bytes" not in run.stdout
        complaints = _complaints(run.stderr)
        if compacted:
            gap = r"Non-consecutive offsets in \S+|  -?\d+ is followed by \d+"
            complaints = [line for line in complaints if not re.fullmatch(gap, line)]
        assert complaints == []
        return run.stdout.count("isvalid: true")

    def broker(self, directory: Path, *settings: str) -> ApacheKafkaBroker:
        """Start a broker; ``settings`` are ``key=value``. Stop it afterwards."""
        return ApacheKafkaBroker(self._script, directory, settings)


class ToolRun(NamedTuple):
    """What became of a program."""

    status: int
    out: str
    err: str


class KafkaTools:
    """A process that runs one program after the other, because starting one each is slow."""

    def __init__(self, script: str) -> None:
        source = Path(__file__).with_name("KafkaTools.java")
        self._process = subprocess.Popen(
            [script, "run", str(source)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def run(self, main_class: str, *arguments: str, stdin: str = "", check: bool = True) -> ToolRun:
        """Run a main class to its end; with ``check`` a bad exit status fails the test."""
        words = [word.encode() for word in (main_class, *arguments, stdin)]
        assert self._process.stdin is not None
        self._process.stdin.write(_INT32.pack(len(words)))
        for word in words:
            self._process.stdin.write(_INT32.pack(len(word)) + word)
        self._process.stdin.flush()
        run = ToolRun(self._int(), self._text(), self._text())
        assert not check or run.status == 0, (main_class, arguments, run)
        return run

    def _int(self) -> int:
        return int(_INT32.unpack(self._read(_INT32.size))[0])

    def _text(self) -> str:
        return self._read(self._int()).decode()

    def _read(self, size: int) -> bytes:
        assert self._process.stdout is not None
        data = self._process.stdout.read(size)
        assert len(data) == size, "the process that runs the programs has ended"
        return data

    def stop(self) -> None:
        """End it."""
        with self._process:
            self._process.kill()


class ApacheKafkaBroker:
    """A single broker on free ports."""

    def __init__(self, script: str, directory: Path, settings: tuple[str, ...]) -> None:
        self._script, self._directory = script, directory
        port = _two_free_ports()
        subprocess.run(
            [script, "start", str(directory), str(port), *settings],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=_TOOL_TIMEOUT_S,
        )
        self.address = f"127.0.0.1:{port}"

    def stop(self) -> None:
        """Stop it and wait for its end."""
        subprocess.run(
            [self._script, "stop", str(self._directory)], check=True, timeout=_TOOL_TIMEOUT_S
        )


def find_apache_kafka() -> ApacheKafka:
    """Skips the test, with the reason, where Apache Kafka cannot be had."""
    found = _find()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@cache
def _find() -> ApacheKafka | str:
    script = Path(os.environ.get("TIDELOG_KAFKA_TOOL", _BESIDE))
    if not script.is_file():
        return f"no Apache Kafka: {script} is not there (TIDELOG_KAFKA_TOOL names the script)"
    missing = [program for program in ("java", "mvn") if shutil.which(program) is None]
    if missing:
        return f"no Apache Kafka: {' and '.join(missing)} not found"
    fetched = subprocess.run(
        [str(script), "classpath"], capture_output=True, text=True, timeout=_FETCH_TIMEOUT_S
    )
    if fetched.returncode != 0:
        return f"no Apache Kafka: {fetched.stderr.strip()}"
    return ApacheKafka(script)


def _two_free_ports() -> int:
    """A free port whose successor is free as well: the script takes that for the controller.

    They lie below those that the system gives to connections, which would take one of them while
    Java starts.
    """
    source = random.SystemRandom()
    while True:
        port = source.randrange(*_PORTS)
        with socket.socket() as one, socket.socket() as two, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            two.bind(("127.0.0.1", port + 1))
            return port


def _complaints(stderr: str) -> list[str]:
    """What it found wrong, without the one thing it finds in its own directories too.

    Kafka 4.3 reports the first record of every segment but the first as one that does not follow.
    """
    lines = [line for line in stderr.splitlines() if not line.startswith(("WARN", "SLF4J"))]
    text = "\n".join(lines)
    own = r"Non-consecutive offsets in \S+/0*(\d+)\.log\n  -1 is followed by \1(\n|$)"
    return re.sub(own, "", text).splitlines()
