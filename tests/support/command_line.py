"""The ``tidelog`` command, run as a person would, but not on a terminal."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import warnings
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from tests.support.broker_process import environment
from tidelog.api.cli import commands


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        """Of standard output."""
        return self.stdout.splitlines()


class EndedBytes(NamedTuple):
    """How a command ended whose output is not read as text."""

    status: int
    stdout: bytes
    stderr: str


def tidelog(
    *arguments: str,
    stdin: str = "",
    variables: dict[str, str] | None = None,
    directory: Path | None = None,
) -> Ended:
    """Run it to its end; a traceback is never right."""
    ended = tidelog_bytes(
        *arguments,
        stdin=stdin.encode("utf-8", "surrogateescape"),
        variables=variables,
        directory=directory,
    )
    return Ended(ended.status, ended.stdout.decode(), ended.stderr)


def tidelog_bytes(
    *arguments: str,
    stdin: bytes = b"",
    variables: dict[str, str] | None = None,
    directory: Path | None = None,
) -> EndedBytes:
    """As ``tidelog``, with bytes in and out."""
    done = subprocess.run(
        [sys.executable, "-m", "tidelog.api.cli", *arguments],
        input=stdin,
        env=environment({"COLUMNS": "200", **(variables or {})}),
        cwd=directory,
        capture_output=True,
        timeout=60,
    )
    stderr = done.stderr.decode()
    assert "Traceback" not in stderr, stderr
    return EndedBytes(done.returncode, done.stdout, stderr)


def tidelog_here(*arguments: str, stdin: bytes = b"") -> EndedBytes:
    """As ``tidelog_bytes``, but without a process of its own: for tests that run it often."""
    streams = [io.TextIOWrapper(io.BytesIO(content)) for content in (stdin, b"", b"")]
    given, stdout, stderr = streams
    with (
        mock.patch.object(sys, "stdin", given),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
        warnings.catch_warnings(category=ResourceWarning, action="ignore"),
    ):
        # Most commands leave it to the end of their process to close the connection.
        try:
            status = commands.run(arguments)
        except SystemExit as ended:
            status = int(ended.code or 0)
        stderr.flush()
    shown, said = (one.buffer.getvalue() for one in streams[1:])  # type: ignore[attr-defined]
    return EndedBytes(status, shown, said.decode())
