"""The ``tidelog`` command."""

from tidelog.api.cli.entry import main

__all__ = ["main"]
