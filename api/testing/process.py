"""The broker's process: its signals, its pipes and what it has said.

It reads commands from its standard input, answers on its standard output, logs to a file, and ends
when its input does: with the process that started it, however that went.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
from pathlib import Path
from typing import Any

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0


class BrokerProcess:
    """A child that runs until ``end`` or ``kill``; ``paused`` says whether ``pause`` holds it."""

    def __init__(self, command: list[str], directory: Path, log: Path) -> None:
        with log.open("ab") as stderr:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=directory,
                env={k: v for k, v in os.environ.items() if not k.startswith("TIDELOG_")},
                process_group=0,  # Ctrl-C is for the tests, whose teardown may need the broker
            )
        self.paused = False

    @property
    def status(self) -> int | None:
        """With which it has ended, negative for a signal; None while it runs."""
        return self._child.poll()

    def answer(self) -> dict[str, Any]:
        """What it says next. Raises EOFError when it ends, TimeoutError when it says nothing."""
        assert self._child.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._child.stdout, selectors.EVENT_READ)
            if not selector.select(START_TIMEOUT_S):
                raise TimeoutError
        line = self._child.stdout.readline()
        if not line:
            self._child.wait()
            raise EOFError
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, command: dict[str, object]) -> dict[str, Any]:
        """Its answer to a command. Raises what ``answer`` raises."""
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(command).encode() + b"\n")
            self._child.stdin.flush()
        except BrokenPipeError as error:
            self._child.wait()
            raise EOFError from error
        return self.answer()

    def pause(self) -> None:
        """Stop it where it is; returns when it stands still, or has ended."""
        self._child.send_signal(signal.SIGSTOP)
        if self._child.returncode is None:
            _, status = os.waitpid(self._child.pid, os.WUNTRACED)
            self.paused = os.WIFSTOPPED(status)
            if not self.paused:
                self._child.returncode = os.waitstatus_to_exitcode(status)

    def resume(self) -> None:
        self._child.send_signal(signal.SIGCONT)
        self.paused = False

    def end(self) -> None:
        """SIGTERM; killed if that takes too long."""
        self._child.send_signal(signal.SIGTERM)
        self.resume()
        try:
            self._child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
        self._close()

    def kill(self) -> None:
        """SIGKILL."""
        self._child.kill()
        self._close()

    def _close(self) -> None:
        # Input that it did not read is lost with it.
        for pipe in (self._child.stdin, self._child.stdout):
            assert pipe is not None
            pipe.close()
        self._child.wait()
        self.paused = False
