"""A program on a real pseudo-terminal, as a person at a keyboard has it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
from collections.abc import Sequence
from types import TracebackType

from tests.support.broker_process import environment

INTERRUPT, END_OF_INPUT = b"\x03", b"\x04"
"""Ctrl-C and Ctrl-D as the keyboard sends them."""


class Terminal:
    """``words`` run in the foreground of a terminal of this size; what they show is ``seen``.

    ``stdin`` and ``stdout`` are descriptors of pipes where they are not the terminal.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        columns: int = 80,
        rows: int = 24,
        stdin: int | None = None,
        stdout: int | None = None,
        variables: dict[str, str] | None = None,
    ) -> None:
        self._ours, theirs = pty.openpty()
        self.resize(columns, rows)

        def control() -> None:
            fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

        kept = environment({"TERM": "xterm", **(variables or {})})
        kept.pop("COLUMNS", None)
        kept.pop("LINES", None)
        self.process = subprocess.Popen(
            words,
            stdin=theirs if stdin is None else stdin,
            stdout=theirs if stdout is None else stdout,
            stderr=theirs,
            env=kept,
            start_new_session=True,
            preexec_fn=control,
            pass_fds=(theirs,),
        )
        os.close(theirs)
        self.seen = b""

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def read_until(self, wanted: bytes) -> bytes:
        """Everything seen, once ``wanted`` is in it."""
        while wanted not in self.seen:
            self.seen += os.read(self._ours, 65536)
        return self.seen

    def read_what_is_there(self) -> None:
        """Without waiting."""
        while select.select((self._ours,), (), (), 0)[0]:
            self.seen += os.read(self._ours, 65536)

    def end(self) -> int:
        """Wait for the program's end; its status."""
        try:
            while data := os.read(self._ours, 65536):
                self.seen += data
        except OSError:
            # So Linux tells that nobody has the terminal open any more.
            pass
        return self.process.wait(60)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(60)
        os.close(self._ours)
