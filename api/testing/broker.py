"""A broker under test, whatever becomes of its process."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from tidelog.api.testing.clock import BrokerClock
from tidelog.api.testing.process import BrokerProcess

TEST_SETTINGS = {"flush.mode": "os"}
_FREE = "127.0.0.1:0"
_LOG_TAIL_BYTES = 16 * 1024
_started: weakref.WeakSet[TidelogBroker] = weakref.WeakSet()


class BrokerNotStarted(Exception):
    """The process ended, or said nothing in time; the text has what it wrote to stderr."""

    def __init__(self, status: int | None, stderr: str) -> None:
        how = "did not get ready" if status is None else f"ended with status {status}"
        super().__init__(f"the broker {how}; its stderr:\n{stderr or '(empty)'}")
        self.status = status
        self.stderr = stderr


class BrokerNotRunning(Exception):
    """It was asked for what only a broker that runs can do: it is not started, paused or gone."""

    def __init__(self, broker: TidelogBroker) -> None:
        super().__init__(f"{broker!r} cannot do that")


class TidelogBroker:
    """A broker on free ports of 127.0.0.1, from ``start`` to ``stop`` or in a ``with``.

    ``directory`` will hold its data and its log, and stays; None: a temporary one that goes when
    the broker stops. ``settings`` are broker settings by their Kafka names. While it runs,
    ``kafka`` is its bootstrap server, ``http`` the URL of its HTTP API, ``pid`` its process;
    ``clock`` is the time that it lives by. An exception that leaves the ``with`` takes the end of
    the log along.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self._settings = {**TEST_SETTINGS, **(settings or {})}
        self._temporary = directory is None
        self._directory = Path() if directory is None else Path(directory).resolve()
        self._process: BrokerProcess | None = None
        self._last_log = ""
        self.clock = BrokerClock(self._move_clock)
        self._forget_addresses()

    def _forget_addresses(self) -> None:
        self._listen = ("--http", _FREE, "--kafka", _FREE)
        self.kafka = ""
        self.http = ""
        self.pid = 0

    def __repr__(self) -> str:
        if self._process is None:
            return "<TidelogBroker, not started>"
        facts = f"<TidelogBroker kafka={self.kafka} http={self.http} pid={self.pid}"
        if self._process.status is not None:
            return f"{facts}, ended with status {self._process.status}>"
        return f"{facts}, paused>" if self._process.paused else f"{facts}>"

    # What it has

    @property
    def data_dir(self) -> Path:
        """Where the topics' files are."""
        return self._directory / "data"

    @property
    def running(self) -> bool:
        """Whether its process lives; also while it is paused."""
        return self._process is not None and self._process.status is None

    @property
    def log(self) -> str:
        """All that it has logged since ``start``, over every ``kill`` and ``restart``."""
        if self._process is None:
            return self._last_log
        with self._open_log() as log:
            return log.read().decode(errors="replace")

    @property
    def stderr(self) -> str:
        """The same as ``log``."""
        return self.log

    @property
    def log_bytes(self) -> int:
        """How long the log is."""
        with self._open_log() as log:
            return log.seek(0, os.SEEK_END)

    def log_since(self, position: int) -> str:
        """What it has logged since ``log_bytes`` was ``position``; at most the last 16 KiB."""
        with self._open_log() as log:
            log.seek(max(position, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
            return log.read().decode(errors="replace")

    @property
    def _log_path(self) -> Path:
        return self._directory / "stderr"

    def _open_log(self) -> BinaryIO:
        """Empty when it is stopped, or when a test has taken its directory away."""
        if self._process is not None:
            with contextlib.suppress(FileNotFoundError):
                return self._log_path.open("rb")
        return io.BytesIO()

    # Its life

    def start(self) -> None:
        """Start the process and wait until it serves; after ``kill``, as it was before.

        Raises BrokerNotStarted.
        """
        if self.running:
            raise RuntimeError(f"{self!r} runs already")
        first = self._process is None
        if first:
            self._make_directory()
        self._process = BrokerProcess(self._command(), self._directory, self._log_path)
        try:
            ready = self._process.answer()
        except BaseException as error:
            status, stderr = self._process.status, self.log
            self._process.kill()
            if first:
                self.stop()
            if isinstance(error, EOFError | TimeoutError):
                raise BrokerNotStarted(status, stderr) from None
            raise
        self.kafka, self.http, self.pid = ready["kafka"], ready["http"], ready["pid"]
        self._listen = ("--http", urlsplit(self.http).netloc, "--kafka", self.kafka)
        _started.add(self)

    def _make_directory(self) -> None:
        if self._temporary:
            self._directory = Path(tempfile.mkdtemp(prefix="tidelog-"))
        self._directory.mkdir(parents=True, exist_ok=True)
        self._log_path.unlink(missing_ok=True)

    def _command(self) -> list[str]:
        settings = [f"--set={name}={_text(value)}" for name, value in self._settings.items()]
        return [
            *(sys.executable, "-P", "-m", "tidelog.api.cli", "serve"),
            *("--until-eof", f"--clock-ahead={self.clock.ahead_ms}"),
            *("--data-dir", str(self.data_dir), *self._listen),
            *settings,
        ]

    def stop(self) -> None:
        """End the process, killed if it takes too long, and remove a temporary directory."""
        if self._process is None:
            return
        self._process.end()
        self._last_log = self.log
        self._process = None
        self._forget_addresses()
        _started.discard(self)
        if self._temporary:
            shutil.rmtree(self._directory, ignore_errors=True)

    def kill(self) -> None:
        """End the process as a crash does. ``start`` brings it back: same addresses, same data."""
        if self._process is not None:
            self._process.kill()

    def restart(self) -> None:
        """Stop it in order, even if it is paused, and start it: same addresses, same data.

        Raises BrokerNotStarted.
        """
        if self._process is not None:
            self._process.end()
        self.start()

    def pause(self) -> None:
        """Let it stand still: connections stay, nothing is answered. Raises BrokerNotRunning."""
        self._living().pause()

    def resume(self) -> None:
        """Let it go on. Raises BrokerNotRunning."""
        self._living().resume()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Paused inside of a ``with``, unless it is killed or restarted there."""
        self.pause()
        try:
            yield
        finally:
            if self.running:
                self.resume()

    def _living(self) -> BrokerProcess:
        if self._process is None or self._process.status is not None:
            raise BrokerNotRunning(self)
        return self._process

    def _answering(self) -> BrokerProcess:
        process = self._living()
        if process.paused:
            raise BrokerNotRunning(self)
        return process

    def _move_clock(self, ahead_ms: int) -> None:
        """At once, or when it is started."""
        if self.running:
            try:
                self._answering().ask({"ahead_ms": ahead_ms})
            except (EOFError, TimeoutError):
                raise BrokerNotRunning(self) from None

    def __enter__(self) -> TidelogBroker:
        self.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and (log := self.log_since(0)):
            error.add_note(f"{self!r} logged:\n{log}")
        self.stop()

    async def __aenter__(self) -> TidelogBroker:
        import asyncio

        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        import asyncio

        await asyncio.to_thread(self.__exit__, kind, error, trace)

    # What tests need before they begin

    def create_topic(self, name: str, partitions: int = 1, **settings: object) -> str:
        """Create a topic and return its name; settings are Kafka's, with ``_`` for ``.``.

        Raises ValueError with the broker's reason, BrokerNotRunning.
        """
        import http.client

        self._answering()
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


def started_brokers() -> list[TidelogBroker]:
    """Those of this process that are started and not stopped, whatever became of them."""
    return list(_started)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
