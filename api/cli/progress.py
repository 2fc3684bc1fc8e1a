"""How far a command has come, for a person who watches it on a terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

_PATIENCE_S = 0.5
"""What is done sooner shows nothing."""


class Progress:
    """A line on standard error while work goes on, within the ``with``.

    It is never there where standard error is no terminal, or where somebody may be typing: before
    work has gone on for a while, after a ``pause``, while the input itself is a terminal.
    """

    def __init__(self, *, typed: bool = False) -> None:
        self._wanted = sys.stderr.isatty() and not typed
        self._records = 0
        self._began_s = self._busy_since_s = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> Progress:
        return self

    def advance(self, records: int) -> None:
        """So many more are done."""
        self._records += records
        if not self._wanted:
            return
        now_s = time.monotonic()
        if self._bar is None and now_s - self._busy_since_s > _PATIENCE_S:
            self._bar = _new_bar()
            self._bar.start()
            self._bar.add_task("", total=None, rate="")
        if self._bar is not None:
            rate = self._records / (now_s - self._began_s)
            self._bar.update(self._bar.tasks[0].id, completed=self._records, rate=f"{rate:,.0f}/s")

    def pause(self) -> None:
        """Nothing is to be done for now."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        self._busy_since_s = time.monotonic()

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
