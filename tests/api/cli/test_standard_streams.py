"""Standard streams that are closed, full, or read by nobody: told where possible, never a crash."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.broker_process import command, environment

STREAMS = {"0": "0<&-", "1": "1>&-", "2": "2>&-"}
CLOSED = ["".join(some) for count in range(4) for some in itertools.combinations("012", count)]
TIDELOG = [sys.executable, "-P", "-m", "tidelog.api.cli"]
NOBODY = "http://127.0.0.1:1"
COMMANDS = [
    (["--help"], 0),
    ([], 2),
    (["serve", "--help"], 0),
    (["serve", "--show-settings"], 0),
    (["serve", "--no-such-flag"], 2),
    (["topic", "list", "--server", NOBODY], 1),
    (["topic", "no-such-command"], 2),
]
"""Each with its status where nothing is wrong with the streams."""


def redirected(words: list[str], redirections: str) -> list[str]:
    """A command line with the redirections of a shell."""
    return ["sh", "-c", f'exec "$@" {redirections}', "sh", *words]


def run(words: list[str], redirections: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        redirected([*TIDELOG, *words], redirections),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(variables),
    )


@pytest.mark.parametrize("closed", ["0", "1", "2", "12", "012"])
def test_commands_with_closed_streams(closed: str) -> None:
    redirections = " ".join(STREAMS[one] for one in closed)
    for words, status in COMMANDS:
        ended = run(words, redirections)
        prints = status == 0 or words == []
        lost = "1" in closed and prints
        assert ended.returncode == (1 if lost else status), (words, ended)
        if "2" not in closed:
            last = "tidelog: cannot write to standard output: Bad file descriptor\n"
            assert ended.stderr.endswith(last) == lost
            assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("full", ["1", "2", "12"])
def test_commands_that_print_to_a_full_disk(full: str, unbuffered: str) -> None:
    redirections = " ".join(f"{one}>/dev/full" for one in full)
    for words, status in COMMANDS:
        ended = run(words, redirections, PYTHONUNBUFFERED=unbuffered)
        lost = "1" in full and (status == 0 or words == [])
        assert ended.returncode == (1 if lost else status), (words, ended)
        if full == "1" and lost:
            said = "tidelog: cannot write to standard output: No space left on device\n"
            assert ended.stderr == said


@pytest.mark.parametrize("words", [["--help"], ["serve", "--show-settings"], ["serve", "--help"]])
def test_a_reader_that_is_gone_has_seen_enough(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [*TIDELOG, *words], stdout=writing, stderr=subprocess.PIPE, env=environment(), timeout=60
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_output_that_another_process_has_made_non_blocking() -> None:
    """Node does so with its pipes; what does not fit at once is written when it does."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.write(writing, bytes(60_000))
    words = [*TIDELOG, "serve", "--show-settings", "--json"]
    with subprocess.Popen(words, stdout=writing, env=environment()) as process:
        os.close(writing)
        with open(reading, "rb") as pipe:
            printed = pipe.read()
    assert process.returncode == 0
    assert json.loads(printed[60_000:])


class Server:
    """``tidelog serve`` with redirections, from when it answers to its end."""

    def __init__(self, directory: Path, redirections: str, *flags: str) -> None:
        words = command(directory / "data", *flags)
        self.process = subprocess.Popen(
            redirected(words, redirections),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            cwd=directory,
        )

    def ready(self) -> dict[str, Any]:
        """What it says where it can: on standard output or, if that fails, in its log."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        for line in itertools.chain(self.process.stdout, self.process.stderr):
            if '"event":"ready"' in line:
                found: dict[str, Any] = json.loads(line[line.index("{") :])
                return found
        raise AssertionError(f"it did not get ready: {self.process.wait()}")

    def stop(self) -> str:
        """What it said at last."""
        self.process.send_signal(signal.SIGTERM)
        said = self.process.communicate(timeout=60)[1]
        assert self.process.returncode == 0, said
        return said


def append_and_read(url: str) -> None:
    with httpx.Client(base_url=url, timeout=60) as http:
        http.post("/v1/topics", json={"name": "t"}).raise_for_status()
        for value in ("one", "two"):
            body = {"records": [{"key": "k", "value": value}]}
            http.post("/v1/topics/t/records", json=body).raise_for_status()
        records = http.get("/v1/topics/t/partitions/0/records").json()["records"]
        assert [record["value"] for record in records] == ["one", "two"]


@pytest.mark.parametrize("closed", [some for some in CLOSED if not {"1", "2"} <= set(some)])
def test_a_broker_with_closed_streams(tmp_path: Path, closed: str) -> None:
    server = Server(tmp_path, " ".join(STREAMS[one] for one in closed))
    ready = server.ready()
    opened = {name: os.readlink(f"/proc/{ready['pid']}/fd/{name}") for name in "012"}
    assert [name for name in "012" if opened[name] == os.devnull] == sorted({"0", *closed})
    append_and_read(ready["http"])
    assert "Traceback" not in server.stop()


@pytest.mark.parametrize("redirections", ["1>&- 2>&-", "0<&- 1>&- 2>&-", "1>/dev/full 2>/dev/full"])
def test_a_broker_that_can_say_nothing(tmp_path: Path, redirections: str) -> None:
    with socket.socket() as reserved:
        # Bound but not listened on: nobody else gets the port, and a broker may listen there.
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{reserved.getsockname()[1]}"
        server = Server(tmp_path, redirections, "--http", address)
        while not answers(address):
            assert server.process.poll() is None
        append_and_read(f"http://{address}")
        server.stop()


def answers(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/health/ready", timeout=60).is_success
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("full", ["1>/dev/full", "2>/dev/full"])
def test_a_broker_on_a_full_disk(tmp_path: Path, full: str) -> None:
    server = Server(tmp_path, full)
    append_and_read(server.ready()["http"])
    assert "Traceback" not in server.stop()


def test_a_broker_whose_reader_is_gone(tmp_path: Path) -> None:
    server = Server(tmp_path, "")
    assert server.process.stdout is not None
    server.process.stdout.close()
    server.process.stdout = None
    assert server.process.stderr is not None
    line = next(line for line in server.process.stderr if '"event":"ready"' in line)
    assert "cannot write to standard output (Broken pipe)" in line
    append_and_read(json.loads(line[line.index("{") :])["http"])
    server.stop()
