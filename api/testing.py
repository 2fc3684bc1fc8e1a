"""A real broker for the tests of other projects: a process of its own, gone when the test is.

    with TidelogBroker() as broker:
        producer = KafkaProducer(bootstrap_servers=broker.kafka)

Nothing of the broker is imported into the process that tests. With unittest, start it in
``setUpModule`` or ``setUpClass``; with asyncio, around ``asyncio.run`` or in a fixture: starting
blocks for less than half a second. With pytest, ``tidelog.api.pytest_plugin`` has fixtures.

The broker has the defaults of ``tidelog serve`` but for one: ``flush.mode`` is ``os``, so that
``acks=all`` does not wait for the disk. No test can tell the difference short of cutting the
power, and the slow disks of continuous integration cost each acknowledgement milliseconds.
Settings in ``TIDELOG_*`` variables or in a ``tidelog.toml`` do not reach it.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
TEST_SETTINGS = {"flush.mode": "os"}


class BrokerNotStarted(Exception):
    """The process ended, or said nothing in time; the text has what it wrote to stderr."""

    def __init__(self, status: int | None, stderr: str) -> None:
        how = "did not get ready" if status is None else f"ended with status {status}"
        super().__init__(f"the broker {how}; its stderr:\n{stderr or '(empty)'}")
        self.status = status
        self.stderr = stderr


class TidelogBroker:
    """A broker on free ports of 127.0.0.1, from ``start`` to ``stop`` or in a ``with``.

    ``directory`` will hold its data and what it says, and stays; None: a temporary one that goes
    when the broker stops. ``settings`` are broker settings by their Kafka names. While it runs,
    ``kafka`` is its bootstrap server, ``http`` the URL of its HTTP API, ``pid`` its process.
    """

    def __init__(
        self, directory: Path | None = None, settings: Mapping[str, object] | None = None
    ) -> None:
        self._settings = {**TEST_SETTINGS, **(settings or {})}
        self._temporary = directory is None
        self._directory = Path() if directory is None else directory.resolve()
        self._process: subprocess.Popen[bytes] | None = None
        self.kafka = ""
        self.http = ""
        self.pid = 0

    @property
    def data_dir(self) -> Path:
        """Where the topics' files are."""
        return self._directory / "data"

    @property
    def stderr(self) -> str:
        """All that the process has said."""
        return (self._directory / "stderr").read_text(errors="replace")

    def start(self) -> None:
        """Start the process and wait until it serves. Raises BrokerNotStarted."""
        if self._temporary:
            self._directory = Path(tempfile.mkdtemp(prefix="tidelog-"))
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=self._directory,
                env={k: v for k, v in os.environ.items() if not k.startswith("TIDELOG_")},
                process_group=0,  # Ctrl-C is for the tests, whose teardown may need the broker
            )
        ready = self._ready(self._process)
        self.kafka, self.http, self.pid = ready["kafka"], ready["http"], ready["pid"]

    def _command(self) -> list[str]:
        settings = [f"--set={name}={_text(value)}" for name, value in self._settings.items()]
        return [
            *(sys.executable, "-P", "-m", "tidelog.api.cli", "serve", "--until-eof"),
            *("--data-dir", str(self.data_dir), "--http", "127.0.0.1:0", "--kafka", "127.0.0.1:0"),
            *settings,
        ]

    def _ready(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            heard = selector.select(START_TIMEOUT_S)
        line = process.stdout.readline() if heard else b""
        if line:
            ready: dict[str, Any] = json.loads(line)
            return ready
        status = process.wait() if heard else None
        stderr = self.stderr
        self.stop()
        raise BrokerNotStarted(status, stderr)

    def stop(self) -> None:
        """End the process, killed if it takes too long, and remove a temporary directory."""
        if self._process is None:
            return
        self._end(self._process)
        self._process = None
        if self._temporary:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> TidelogBroker:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def create_topic(self, name: str, partitions: int = 1, **settings: object) -> str:
        """Create a topic and return its name; settings are Kafka's, with ``_`` for ``.``.

        Raises ValueError with the broker's reason.
        """
        import http.client

        body = {
            "name": name,
            "partitions": partitions,
            "settings": {key.replace("_", "."): _text(value) for key, value in settings.items()},
        }
        connection = http.client.HTTPConnection(urlsplit(self.http).netloc)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/v1/topics", json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status >= 400:
            raise ValueError(f"topic {name} was not created: {text}")
        return name


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
