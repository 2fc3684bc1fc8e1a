"""``--base64``: which parts of a record are encoded so, where they are read or printed as text."""

from __future__ import annotations

from typing import Annotated

import typer

from tidelog.api.cli.failures import UsedWrongly

_PARTS = {
    None: frozenset[str](),
    "key": frozenset(("key",)),
    "value": frozenset(("value",)),
    "both": frozenset(("key", "value")),
}

Base64 = Annotated[
    str | None, typer.Option(metavar="WHAT", help="What is in base64: key, value or both.")
]


def encoded_parts(given: str | None) -> frozenset[str]:
    """Raises UsedWrongly."""
    try:
        return _PARTS[given]
    except KeyError:
        raise UsedWrongly(f"--base64 {given}: expected key, value or both") from None
