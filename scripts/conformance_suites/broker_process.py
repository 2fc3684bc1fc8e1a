"""The broker that a suite runs against: on free ports, with a directory that ends with it."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HOST = "127.0.0.1"


@contextlib.contextmanager
def broker(settings: tuple[str, ...], log: Path, *, proxied: bool) -> Iterator[tuple[int, int]]:
    """A running broker: the port that it tells clients, and the one that it listens on.

    They differ where it is ``proxied``. What it says goes to ``log``.
    """
    advertised, free = free_ports(2)
    port = free if proxied else advertised
    with tempfile.TemporaryDirectory(prefix="tidelog-conformance-") as directory:
        command = [
            *(sys.executable, "-P", "-m", "tidelog.api.cli", "serve"),
            *("--data-dir", f"{directory}/data"),
            *("--http", f"{HOST}:0", "--kafka", f"{HOST}:{port}"),
            *("--advertised", f"{HOST}:{advertised}", "--log-level", "warning"),
        ]
        for setting in settings:
            command += ["--set", setting]
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True
            )
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                sys.exit(f"the broker did not start:\n{log.read_text()}")
            yield advertised, port
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def free_ports(count: int) -> list[int]:
    """Ports known beforehand, since the suites test an address advertised by configuration."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [server.getsockname()[1] for server in servers]
