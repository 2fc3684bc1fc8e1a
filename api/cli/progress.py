"""How far a command has come, for a person who watches it on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

_PATIENCE_S = 0.5
"""What is done sooner shows nothing."""


class Progress:
    """A line on standard error while work goes on, within the ``with``.

    It is never there where standard error is no terminal, or where somebody may be typing: before
    work has gone on for a while, after a ``pause``, while the input itself is a terminal.
    """

    def __init__(
        self, *, typed: bool = False, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock_s = clock_s
        self._wanted = sys.stderr.isatty() and not typed
        self._records = self._before = 0
        self._busy_since_s: float | None = None
        self._bar: Any = None

    def __enter__(self) -> Progress:
        return self

    def advance(self, records: int) -> None:
        """So many more are done."""
        self._records += records
        if not self._wanted:
            return
        now_s = self._clock_s()
        if self._busy_since_s is None:
            self._busy_since_s, self._before = now_s, self._records
        busy_s = now_s - self._busy_since_s
        if self._bar is None and busy_s > _PATIENCE_S:
            self._bar = _new_bar()
            self._bar.start()
            self._bar.add_task("", total=None, rate="")
        if self._bar is not None:
            rate = (self._records - self._before) / busy_s
            self._bar.update(self._bar.tasks[0].id, completed=self._records, rate=f"{rate:,.0f}/s")

    def pause(self) -> None:
        """Nothing is to be done for now."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        self._busy_since_s = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.pause()


def _new_bar() -> Any:
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn

    return Bar(
        SpinnerColumn(),
        TextColumn("{task.completed:,.0f} records, {task.fields[rate]}"),
        console=Console(stderr=True),
        transient=True,
    )
