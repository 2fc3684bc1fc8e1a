"""A real broker in a process of its own, on free ports and a directory of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx


class BrokerProcess:
    """``tidelog serve``, from its ready line on."""

    def __init__(self, data_dir: Path, *flags: str, environment: dict[str, str] | None = None):
        self.data_dir = data_dir
        self._flags = flags
        self._environment = environment or {}
        self._stderr = data_dir.parent / f"{data_dir.name}.stderr"
        self.start()

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        with self._stderr.open("ab") as stderr:
            self.process = subprocess.Popen(
                command(self.data_dir, *self._flags),
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment(self._environment),
                cwd=self.data_dir.parent,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the broker did not start:\n{self.stderr}"
        self.ready: dict[str, Any] = json.loads(line)
        self.url: str = self.ready["http"]
        self.kafka: str = self.ready["kafka"]

    @property
    def stderr(self) -> str:
        """Everything it has said so far."""
        return self._stderr.read_text()

    def client(self, **options: Any) -> httpx.Client:
        """An HTTP client for it."""
        return httpx.Client(base_url=self.url, timeout=60, **options)

    def stop(self) -> None:
        """SIGTERM; a clean stop is asked for."""
        self.process.send_signal(signal.SIGTERM)
        self.wait_for_clean_end()

    def wait_for_clean_end(self) -> None:
        """After it was told to stop."""
        status = self.process.wait(60)
        self._close()
        assert status == 0, self.stderr

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(60)
        self._close()

    def restart(self) -> None:
        """Stop cleanly and start again."""
        self.stop()
        self.start()

    def start_again(self) -> None:
        """After it has ended: on the same directory and at the same addresses."""
        http = self.url.removeprefix("http://")
        self._flags = (*self._flags, "--kafka", self.kafka, "--http", http)
        self.start()

    def end(self) -> None:
        """Make sure that it is gone, however the test ended."""
        if self.process.poll() is None:
            self.kill()
        self._close()

    def _close(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()

    @property
    def memory_bytes(self) -> int:
        """Resident memory."""
        fields = Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    @property
    def peak_memory_bytes(self) -> int:
        """The most resident memory that it has had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024


def command(data_dir: Path, *flags: str) -> list[str]:
    """The command line of a broker on free ports."""
    return [
        *(sys.executable, "-m", "tidelog.api.cli", "serve", "--data-dir", str(data_dir)),
        *("--http", "127.0.0.1:0", "--kafka", "127.0.0.1:0", *flags),
    ]


def environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """This process's, without what would change the broker's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDELOG_")}
    return {**kept, **(extra or {})}
