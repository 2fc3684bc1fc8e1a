"""What a shell offers for a name that is not typed to its end: topics, groups and profiles.

A broker that does not answer, or not soon, has nothing to offer; nothing is printed.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

import typer

from tidelog.api.cli.failures import CommandFailed

_NAMES_MAX = 1000
_PATIENCE_S = 2.0


def topics(context: typer.Context, incomplete: str) -> list[str]:
    """Names of topics that begin so; internal ones only where they are begun."""
    query = {"include_internal": "true"} if incomplete.startswith("_") else {}
    return _names(context, "topics", "name", incomplete, query)


def groups(context: typer.Context, incomplete: str) -> list[str]:
    """Names of groups that begin so."""
    return _names(context, "groups", "group", incomplete, {})


def profiles(incomplete: str) -> list[str]:
    """Names of profiles that begin so."""
    from tidelog.api.cli.profiles import Profiles

    with contextlib.suppress(CommandFailed):
        known = Profiles.load(os.environ).by_name
        return [name for name in known if name.startswith(incomplete)]
    return []


def _names(
    context: typer.Context, what: str, field: str, incomplete: str, query: dict[str, Any]
) -> list[str]:
    from tidelog.api.cli.client import Client, path_of
    from tidelog.api.cli.options import connection_of

    query = {**query, "prefix": incomplete, "limit": _NAMES_MAX}
    with contextlib.suppress(CommandFailed):
        client = Client(connection_of(context), patience_s=_PATIENCE_S)
        return [one[field] for one in client.call("GET", path_of(what), query)[what]]
    return []
