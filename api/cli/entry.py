"""Where ``tidelog`` begins: ``serve`` goes straight on, other commands load what they need."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

_FAILED = 1


def main() -> None:
    """Run the command line and exit with its status."""
    try:
        status = _run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing may complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = _FAILED
    sys.exit(status)


def _run(arguments: Sequence[str]) -> int:
    if arguments[:1] == ["serve"]:
        from tidelog.api.cli.serve import serve

        return serve(arguments[1:])
    from tidelog.api.cli.commands import run

    return run(arguments)
