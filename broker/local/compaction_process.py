"""The child process that compacts, as the event loop sees it: jobs go in, new segments come out.

Started by the first job and ended with the pass, so that many small logs share one start.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from typing import Protocol

from tidelog.storage.compaction.cleaner import CleaningJob
from tidelog.storage.local.cleaned_segment import Cleaned

_START = """
import sys
try:
    from tidelog.broker.local.compaction_child import main
except ImportError:
    sys.path += sys.argv[2:]
    from tidelog.broker.local.compaction_child import main
main()
"""
"""Our own import path counts only where Python by itself does not find us: it may begin with the
working directory, whose modules are not ours to run."""


class CompactionFailed(Exception):
    """The child could not do its job; it has removed what it had not handed out, if it lives.

    ``damaged``: the log has bytes that no pass could read.
    """

    def __init__(self, reason: str, *, damaged: bool = False) -> None:
        super().__init__(reason)
        self.damaged = damaged


class Compactor(Protocol):
    """Does the jobs of one pass, one after the other."""

    def clean(self, job: CleaningJob) -> AsyncIterator[Cleaned | int]:
        """Each new segment, then the offset below which the log is clean.

        Raises CompactionFailed, OSError where it cannot be begun.
        """
        ...

    async def end(self) -> None:
        """Leave what is being done; the next job begins anew."""
        ...

    async def __aenter__(self) -> Compactor: ...

    async def __aexit__(self, *error: object) -> None: ...


class CompactionProcess:
    """An async context; leaving it ends the child, whatever it is doing."""

    def __init__(self, bytes_per_second: float) -> None:
        self._bytes_per_second = bytes_per_second
        self._child: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> CompactionProcess:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.end()

    async def end(self) -> None:
        """End the child; the next job starts another."""
        child, self._child = self._child, None
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    async def clean(self, job: CleaningJob) -> AsyncIterator[Cleaned | int]:
        """Each new segment, then the offset below which the log is clean.

        Raises CompactionFailed, OSError where the child cannot be started.
        """
        child = self._child or await self._start()
        self._child = child
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(json.dumps(job._asdict()).encode() + b"\n")
            await child.stdin.drain()
            while line := await child.stdout.readline():
                answer = json.loads(line)
                if "cleaned" not in answer:
                    break
                yield Cleaned(*answer["cleaned"])
        except ConnectionError:
            line = b""
        if not line:
            self._child = None
            raise CompactionFailed(f"the process ended with status {await child.wait()}")
        if "error" in answer:
            raise CompactionFailed(answer["error"], damaged=answer["damaged"])
        yield answer["cleaned_offset"]

    async def _start(self) -> asyncio.subprocess.Process:
        # A session of its own: an interrupt at the terminal is the broker's to handle.
        return await asyncio.create_subprocess_exec(
            *(sys.executable, _flags(), "-c", _START),
            *(str(self._bytes_per_second), *filter(None, sys.path)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )


def _flags() -> str:
    """``-P`` keeps the working directory out; the others are those that we were started with.

    ``PYTHONPATH`` and its like mean to the child what they mean to us.
    """
    return "-P" + "E" * sys.flags.ignore_environment + "s" * sys.flags.no_user_site
