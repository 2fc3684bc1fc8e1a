"""A command that follows outlives its broker: it asks again until there is an answer."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TypeVar

from tidelog.api.cli.failures import CommandFailed, NoAnswer, Refused

_PAUSE_S = 0.5
_PASSING = ("shutting_down", "recovering", "coordinator_loading", "coordinator_unavailable")
"""Of a broker that stops or has just started."""
_Answer = TypeVar("_Answer")


class Persistence:
    """For one command; only where it is ``wanted`` anything is asked twice."""

    def __init__(self, *, wanted: bool) -> None:
        self._wanted = wanted
        self._told = False

    def ask(self, question: Callable[[], _Answer]) -> _Answer:
        """Its answer. Raises CommandFailed for what does not pass."""
        while True:
            try:
                answer = question()
            except CommandFailed as error:
                self.wait_after(error)
            else:
                self.answered()
                return answer

    def answered(self) -> None:
        """What comes next is worth telling again."""
        self._told = False

    def wait_after(self, error: CommandFailed) -> None:
        """A moment, before the next try. Raises the error if it does not pass."""
        passes = isinstance(error, NoAnswer) or (
            isinstance(error, Refused) and error.code in _PASSING
        )
        if not (self._wanted and passes):
            raise error
        if not self._told:
            print(f"tidelog: {error}; it is tried again until one does", file=sys.stderr)
        self._told = True
        self.pause()

    def pause(self) -> None:
        """For as long as a broker is left alone."""
        time.sleep(_PAUSE_S)
