"""The line that tells how far a command has come: there while work goes on, gone while it waits."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator

import pytest

from tidelog.api.cli.progress import Progress


class Screen(io.StringIO):
    """Standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    monkeypatch.setenv("TERM", "xterm")
    return Screen()


@contextlib.contextmanager
def shown_on(stderr: io.StringIO, clock: Clock, *, typed: bool = False) -> Iterator[Progress]:
    with contextlib.redirect_stderr(stderr), Progress(typed=typed, clock_s=clock) as progress:
        yield progress


def work(progress: Progress, clock: Clock, seconds: float) -> None:
    for _ in range(10):
        clock.now_s += seconds / 10
        progress.advance(100)


def test_it_is_there_while_work_goes_on(screen: Screen, clock: Clock) -> None:
    with shown_on(screen, clock) as progress:
        work(progress, clock, 2)
        assert " records, " in screen.getvalue()
    shown = screen.getvalue()
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor is shown again"


def test_what_is_soon_done_shows_nothing(screen: Screen, clock: Clock) -> None:
    with shown_on(screen, clock) as progress:
        work(progress, clock, 0.4)
    assert screen.getvalue() == ""


def test_a_line_now_and_then_shows_nothing(screen: Screen, clock: Clock) -> None:
    """However long it takes until the next one is typed."""
    with shown_on(screen, clock) as progress:
        for _ in range(5):
            clock.now_s += 60
            progress.advance(1)
            progress.pause()
    assert screen.getvalue() == ""


def test_it_goes_where_work_pauses(screen: Screen, clock: Clock) -> None:
    with shown_on(screen, clock) as progress:
        work(progress, clock, 2)
        progress.pause()
        shown = screen.getvalue()
        assert shown.endswith("\x1b[2K"), "its line is empty again"
        clock.now_s += 60
        progress.advance(1)
    assert screen.getvalue() == shown


def test_where_lines_are_typed_it_is_never_there(screen: Screen, clock: Clock) -> None:
    with shown_on(screen, clock, typed=True) as progress:
        work(progress, clock, 60)
    assert screen.getvalue() == ""


def test_where_nobody_watches_it_is_never_there(clock: Clock) -> None:
    plain = io.StringIO()
    with shown_on(plain, clock) as progress:
        work(progress, clock, 60)
    assert plain.getvalue() == ""
