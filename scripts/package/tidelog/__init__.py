"""A Kafka-style, log-structured message broker: ``tidelog serve`` runs it.

To import: ``tidelog.testing`` has a real broker for your tests, ``tidelog.__version__`` says which
one. Everything else speaks to a running broker by HTTP or the Kafka protocol and belongs to it.

This directory is the package as its parts see each other. It links to the four rooms of the
checkout; only what has no room stands here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    # Reading the metadata takes longer than many a command should.
    if name == "__version__":
        from importlib.metadata import version

        return version("tidelog")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
