"""Signals that ask a command to end: it tidies up and goes; a second one ends it at once.

The first is raised wherever the command is: SIGINT as KeyboardInterrupt, SIGTERM and SIGHUP (the
terminal is gone) as ``Terminated``. Those that the process was started to ignore stay ignored.

The interpreter looks for signals between its steps. One that comes after the last look before a
system call that waits would be seen when that is over, which may be never: a thread notices, and
interrupts the call. What is raised while an object is being done away with is swallowed: the same
thread has it raised again, until the command has ``heard``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_NUDGE = signal.SIGURG
"""Means nothing by itself."""
_NUDGE_S = 0.02
_AGAIN_S = 0.5
"""What is raised gets to where it is heard sooner than this."""


class Terminated(BaseException):
    """As KeyboardInterrupt: no error, and nobody is to catch it as one."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


ENDED = (KeyboardInterrupt, Terminated)
"""What a signal raises."""


def word_for(ended: BaseException) -> str:
    """What happened to the command."""
    return "terminated" if isinstance(ended, Terminated) else "interrupted"


class _Signals:
    def __init__(self) -> None:
        self.came: int | None = None
        """The number of the first."""
        self.held = 0
        self.heard = False
        self._raised_s = 0.0

    def take(self, number: int, _: FrameType | None) -> None:
        if self.came is not None:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.came = number
        if not self.held:
            self.raise_it()

    def take_again(self, *_: object) -> None:
        if self.came is None or self.held or self.heard:
            return
        if time.monotonic() - self._raised_s >= _AGAIN_S / 2:
            self.raise_it()

    def raise_it(self) -> None:
        self._raised_s = time.monotonic()
        if self.came == signal.SIGINT:
            raise KeyboardInterrupt
        if self.came is not None:
            raise Terminated(self.came)


_signals = _Signals()


def install() -> None:
    """From now on signals end the command as this module says."""
    for number in _ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _signals.take)
    signal.signal(_NUDGE, _signals.take_again)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_nudge, args=(reading,), daemon=True).start()


def _nudge(reading: int) -> None:
    """Have the main thread look for the signals whose numbers come in."""
    while numbers := os.read(reading, 64):
        while not _signals.heard and not set(numbers).isdisjoint(_ENDING):
            time.sleep(_NUDGE_S if _signals.came is None else _AGAIN_S)
            if not _signals.heard:
                signal.pthread_kill(threading.main_thread().ident or 0, _NUDGE)


def heard() -> None:
    """The command ends: what the first signal has raised is on its way, or was caught."""
    _signals.heard = True


@contextlib.contextmanager
def held() -> Iterator[None]:
    """A first signal waits until the block is over: nothing in it is cut in two."""
    before = _signals.came
    _signals.held += 1
    try:
        yield
    finally:
        _signals.held -= 1
    if _signals.came != before and not _signals.held:
        _signals.raise_it()
