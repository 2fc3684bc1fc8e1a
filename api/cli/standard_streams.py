"""The standard streams of a process: always there, and never the reason why other things fail.

A daemon may be started with any of them closed, their readers may go, a disk that they are written
to may be full.
"""

from __future__ import annotations

import io
import os
import select
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_INPUT, _OUTPUT, _ERROR = 0, 1, 2
_USELESS_MODES = {_INPUT: os.O_WRONLY, _OUTPUT: os.O_RDONLY, _ERROR: os.O_RDONLY}


class Output(io.FileIO):
    """A stream that is written to until that fails; ``lost`` says why it did.

    The first failure is raised, what follows is dropped: nothing may complain at exit. One that
    another process has made non-blocking is waited for.
    """

    lost: OSError | None = None
    _ended = False

    def write(self, data: ReadableBuffer, /) -> int:
        if not self._ended:
            try:
                while (written := super().write(data)) is None:
                    select.select((), (self,), ())
                return written
            except BaseException as error:
                # After an interrupt nobody knows what was written, and would write it again.
                self._ended = True
                if isinstance(error, OSError):
                    self.lost = error
                raise
        return memoryview(data).nbytes


class _ErrorOutput(io.FileIO):
    """Standard error: that it cannot be written to cannot be told to anybody."""

    _interrupted = b""

    def write(self, data: ReadableBuffer, /) -> int:
        content = bytes(data)
        # The buffer above would write again what an interrupt came after.
        new, self._interrupted = content.removeprefix(self._interrupted), b""
        try:
            written = super().write(new)
            return len(content) if written is None else len(content) - len(new) + written
        except OSError:
            return len(content)
        except BaseException:
            self._interrupted = content
            raise


def prepare() -> Output:
    """Call it before anything is opened: a closed stream's number would go to a file or socket.

    A stream that is closed stays unusable: reading or writing it is an OSError.
    """
    for number, mode in _USELESS_MODES.items():
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free, which is this one. Child processes need it too.
            os.set_inheritable(os.open(os.devnull, mode), True)
    sys.stdin = sys.stdin or os.fdopen(_INPUT, closefd=False)
    output = Output(_OUTPUT, "wb", closefd=False)
    sys.stdout = _text(output, sys.stdout, "strict")
    sys.stderr = _text(_ErrorOutput(_ERROR, "wb", closefd=False), sys.stderr, "backslashreplace")
    return output


def _text(raw: io.FileIO, before: TextIO | None, errors: str) -> io.TextIOWrapper:
    """Text as the interpreter has set it up for this stream."""
    if not isinstance(before, io.TextIOWrapper):
        return io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", errors, line_buffering=True)
    at_once = before.line_buffering or before.write_through
    return io.TextIOWrapper(
        io.BufferedWriter(raw), before.encoding, before.errors, line_buffering=at_once
    )
