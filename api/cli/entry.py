"""Where ``tidelog`` begins: ``serve`` goes straight on, other commands load what they need."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its status."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["serve"]:
        from tidelog.api.cli.serve import serve

        sys.exit(serve(arguments[1:]))
    from tidelog.api.cli.commands import run

    sys.exit(run(arguments))
