"""SIGHUP to a broker: settings are read again, the log goes on in a new file, it never dies."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.broker_process import BrokerProcess, command, environment

AGAIN = "settings were read again"


class Reloaded:
    """A broker whose settings and log are files."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "tidelog.toml"
        self.log = directory / "broker.log"
        self.write("")
        self.broker = BrokerProcess(directory / "data", "--log-file", str(self.log))
        self._told = 0

    def write(self, text: str) -> None:
        self.file.write_text('"log.format" = "json"\n' + text)

    def reload(self) -> list[dict[str, Any]]:
        """What is told of it; each time it ends with one of two events."""
        self.broker.process.send_signal(signal.SIGHUP)
        while True:
            told = self.told()[self._told :]
            if any(AGAIN in one["message"] or one["level"] in ("error", "warning") for one in told):
                break
            assert self.broker.process.poll() is None
            with self.broker.client() as http:
                http.get("/health/live")
        # Whatever the signal has led to is done when the loop has turned once more.
        with self.broker.client() as http:
            assert http.get("/health/live").is_success
        told = self.told()[self._told :]
        self._told += len(told)
        return told

    def told(self) -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines]


@pytest.fixture
def reloaded(tmp_path: Path) -> Iterator[Reloaded]:
    made = Reloaded(tmp_path)
    yield made
    made.broker.end()


def messages(told: list[dict[str, Any]]) -> list[str]:
    return [one["message"] for one in told]


def test_nothing_has_changed(reloaded: Reloaded) -> None:
    for _ in range(3):
        assert messages(reloaded.reload())[-1] == AGAIN
    reloaded.broker.stop()


def test_settings_change_or_are_named(reloaded: Reloaded) -> None:
    with reloaded.broker.client() as http:
        http.post("/v1/topics", json={"name": "orders"}).raise_for_status()

        def retention() -> tuple[str, str]:
            settings = http.get("/v1/topics/orders").json()["settings"]
            (found,) = (one for one in settings if one["name"] == "retention.ms")
            return found["value"], found["source"]

        reloaded.write('"log.retention.ms" = 5000\n"num.partitions" = 3\nhttp = "127.0.0.1:1"\n')
        told = messages(reloaded.reload())
        assert "log.retention.ms is 5000, it was None" in told
        assert told[-1] == "only a restart changes num.partitions"
        assert retention() == ("5000", "broker")
        reloaded.write("")
        assert "log.retention.ms is None, it was 5000" in messages(reloaded.reload())
        assert retention() == ("604800000", "default")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no toml", "cannot be read"),
        ('"log.retention.ms" = "soon"\n', "log.retention.ms=soon"),
        ('"log.level" = "loud"\n', "log.level=loud: must be one of"),
        ('"log.retention.mss" = 5\n', "did you mean log.retention.ms?"),
        (
            '"log.cleaner.min.compaction.lag.ms" = 9\n"log.cleaner.max.compaction.lag.ms" = 5\n',
            "at most",
        ),
    ],
)
def test_what_is_wrong_changes_nothing(reloaded: Reloaded, text: str, said: str) -> None:
    reloaded.write(
        '"log.retention.ms" = 5000\n' + text if said != "log.retention.ms=soon" else text
    )
    (told,) = [one for one in reloaded.reload() if one["level"] == "error"]
    assert told["message"].startswith("settings stay as they are: ")
    assert said in told["message"]
    reloaded.write("")
    assert messages(reloaded.reload())[-1] == AGAIN
    reloaded.broker.stop()


def test_a_file_that_is_gone_changes_nothing(reloaded: Reloaded) -> None:
    """It would mean every default."""
    reloaded.file.unlink()
    (told,) = [one for one in reloaded.reload() if one["level"] == "error"]
    assert told["message"].startswith("settings stay as they are: tidelog.toml is not there")
    reloaded.write("")
    assert messages(reloaded.reload())[-1] == AGAIN


def test_the_log_goes_on_in_a_new_file(reloaded: Reloaded) -> None:
    reloaded.reload()
    reloaded.log.rename(reloaded.log.with_suffix(".1"))
    before = reloaded.log.with_suffix(".1").read_text()
    reloaded._told = 0
    assert messages(reloaded.reload())[-1] == AGAIN
    assert reloaded.log.with_suffix(".1").read_text() == before


def test_levels_and_format_change(reloaded: Reloaded) -> None:
    reloaded.write('"log.level" = "warning"\n"num.partitions" = 3\n')
    assert messages(reloaded.reload())[-1] == "only a restart changes num.partitions"
    assert AGAIN not in messages(reloaded.told())
    reloaded.file.write_text("")
    reloaded.broker.process.send_signal(signal.SIGHUP)
    with reloaded.broker.client() as http:
        while f" INFO settings: {AGAIN}\n" not in reloaded.log.read_text():
            http.get("/health/live").raise_for_status()


def test_a_terminal_that_hangs_up_ends_the_broker(tmp_path: Path) -> None:
    """One that is started in a window goes with it, cleanly."""
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        command(tmp_path / "data"),
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        cwd=tmp_path,
        start_new_session=True,
        preexec_fn=lambda: _take_terminal(terminal),
    )
    os.close(terminal)
    assert process.stdout is not None
    assert process.stdout.readline()
    assert process.stderr is not None
    process.send_signal(signal.SIGHUP)
    while AGAIN.encode() not in (line := process.stderr.readline()):
        assert line
    os.close(master)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"the terminal has hung up" in told


def _take_terminal(terminal: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
