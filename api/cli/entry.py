"""Where ``tidelog`` begins: ``serve`` goes straight on, other commands load what they need."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tidelog.api.cli import interrupts, standard_streams

_FAILED, _INTERRUPTED, _SIGNALLED = 1, 130, 128


def main() -> None:
    """Run the command line and exit with its status; what it printed and lost is a failure."""
    output = standard_streams.prepare()
    try:
        try:
            status = _run(sys.argv[1:])
        except SystemExit as ended:
            status = ended.code
        sys.stdout.flush()
    except KeyboardInterrupt:
        interrupts.heard()
        status = _INTERRUPTED
    except interrupts.Terminated as ended:
        interrupts.heard()
        status = _SIGNALLED + ended.number
    except OSError as error:
        status = _FAILED
        if output.lost is None:
            print(f"tidelog: {error}", file=sys.stderr)
    if output.lost is not None:
        status = status or _FAILED
        # Whoever read our output and went has seen enough.
        if not isinstance(output.lost, BrokenPipeError):
            reason = output.lost.strerror
            print(f"tidelog: cannot write to standard output: {reason}", file=sys.stderr)
    sys.exit(status)


def _run(arguments: Sequence[str]) -> int | str | None:
    if arguments[:1] == ["serve"]:
        from tidelog.api.cli.serve import serve

        return serve(arguments[1:])
    interrupts.install()
    from tidelog.api.cli.commands import run

    return run(arguments)
