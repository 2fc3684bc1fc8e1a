"""How far a command has come, for a person who watches it on a terminal."""

from __future__ import annotations

import sys
from types import TracebackType


class Progress:
    """A line on standard error while the ``with`` lasts; nothing where that is no terminal."""

    def __enter__(self) -> Progress:
        self._bar = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress as Bar
            from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

            self._bar = Bar(
                SpinnerColumn(),
                TextColumn("{task.completed:,.0f} records, {task.fields[rate]}"),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=None, rate="")
        return self

    def advance(self, records: int) -> None:
        """So many more are done."""
        if self._bar is not None:
            self._bar.advance(self._task, records)
            task = self._bar.tasks[0]
            rate = task.completed / task.elapsed if task.elapsed else 0
            self._bar.update(self._task, rate=f"{rate:,.0f}/s")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
