"""A real Prometheus that scrapes a broker, and its tool that checks what is scraped."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

_CONFIG = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: tidelog
    static_configs: [{{targets: ["{target}"]}}]
"""
_PATIENCE_S = 60


def program(name: str) -> str:
    """Skips where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not here")
    return found


def complaints(page: str) -> str:
    """What promtool has against a page of metrics."""
    command = [program("promtool"), "check", "metrics"]
    checked = subprocess.run(command, input=page, capture_output=True, text=True, timeout=60)
    return checked.stdout + checked.stderr


class Prometheus:
    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The series of an expression now."""
        answer = self._http.get("/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", answer
        series: list[dict[str, Any]] = answer["data"]["result"]
        return series

    def wait_for(self, expression: str) -> list[dict[str, Any]]:
        """Its series as soon as there are some; the next scrape is all there is to wait for."""
        deadline = time.monotonic() + _PATIENCE_S
        while not (series := self.ask(expression)):
            assert time.monotonic() < deadline, f"{expression} finds nothing: {self.targets()}"
        return series

    def targets(self) -> list[dict[str, Any]]:
        """What it scrapes, and how that went."""
        answer = self._http.get("/api/v1/targets").json()
        found: list[dict[str, Any]] = answer["data"]["activeTargets"]
        return found


@contextmanager
def prometheus(target: str) -> Iterator[Prometheus]:
    """Scrapes ``target``, an address, every second."""
    command = [program("prometheus"), "--web.listen-address=127.0.0.1:0"]
    with tempfile.TemporaryDirectory(prefix="prometheus-") as name:
        directory = Path(name)
        (directory / "prometheus.yml").write_text(_CONFIG.format(target=target))
        command += [f"--config.file={name}/prometheus.yml", f"--storage.tsdb.path={name}/data"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            try:
                url = f"http://{_address(process)}"
                with httpx.Client(base_url=url, timeout=60) as http:
                    yield Prometheus(http)
            finally:
                process.kill()


def _address(process: subprocess.Popen[str]) -> str:
    """Where it listens, from its log."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if 'msg="Listening on"' in line:
            return line.partition("address=")[2].split()[0]
    raise AssertionError("".join(said))
