"""``tidelog copy``: the records of a topic written to another, also at another broker."""

from __future__ import annotations

import hashlib
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidelog.api.cli import completion, interrupts
from tidelog.api.cli.client import Client, path_of
from tidelog.api.cli.connection import choose_connection
from tidelog.api.cli.consume import (
    FromOffset,
    MatchHeader,
    MatchKey,
    MatchValue,
    SkipCorrupt,
    Until,
    record_filter,
)
from tidelog.api.cli.failures import CommandFailed, Refused, UsedWrongly
from tidelog.api.cli.options import Server
from tidelog.api.cli.output import counted

if TYPE_CHECKING:
    from tidelog.api.cli.copying import Copying, Side

_GONE = 404

HELP = """Write the records of a topic to another one: keys, values, headers and times as they are.

A copy that is begun again goes on where it was, and writes no record twice: how far it has come \
is kept as the offsets of a group at the source, which 'tidelog group' shows. A topic that does \
not exist is made with the partitions and settings of the source."""


_Source = Annotated[
    str, typer.Argument(help="The topic to read.", autocompletion=completion.topics)
]
_Target = Annotated[
    str, typer.Argument(help="The topic to write.", autocompletion=completion.topics)
]
_ToServer = Annotated[
    str | None, typer.Option(metavar="URL", help="The broker to write to; default the same.")
]
_ToProfile = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The same, of 'tidelog profile ls'.",
        autocompletion=completion.profiles,
    ),
]
_ToToken = Annotated[str | None, typer.Option(metavar="TOKEN", help="For the broker to write to.")]
_Repartition = Annotated[
    bool, typer.Option("--repartition", help="Choose partitions by key; default: the same.")
]
_Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written later.")]
_Group = Annotated[
    str | None,
    typer.Option(
        *("--group", "-g"),
        metavar="GROUP",
        help="Keeps how far it is; default: one of both topics.",
        autocompletion=completion.groups,
    ),
]


def copy(
    source: _Source,
    target: _Target,
    to_server: _ToServer = None,
    to_profile: _ToProfile = None,
    to_token: _ToToken = None,
    repartition: _Repartition = False,
    offset: FromOffset = "earliest",
    until: Until = None,
    follow: _Follow = False,
    group: _Group = None,
    match_key: MatchKey = None,
    match_value: MatchValue = None,
    match_header: MatchHeader = None,
    skip_corrupt: SkipCorrupt = False,
    server: Server = None,
) -> None:
    """See ``HELP``."""
    from tidelog.api.cli.bounds import beginning_of, check_end
    from tidelog.api.cli.copying import Copying, Plan, Side
    from tidelog.api.cli.progress import Progress

    check_end(until)
    wanted = record_filter(match_key, match_value, match_header)
    plan = Plan(beginning_of(offset), until, follow, repartition, skip_corrupt, wanted)
    there = server
    if to_server is not None or to_profile is not None:
        given = {"server": to_server, "profile": to_profile, "token": to_token}
        there = choose_connection(given, _elsewhere())
    elif to_token is not None:
        raise UsedWrongly("--to-token goes with --to-server or --to-profile")
    with Client(server) as reader, Client(there) as writer:
        read, written = Side(reader, source), Side(writer, target)
        ids = _prepare(read, written, repartition=repartition)
        what = repr((*ids, match_key, match_value, match_header))
        digest = hashlib.blake2b(what.encode(errors="backslashreplace"), digest_size=4)
        name = group or f"copy-{source}-to-{target}-{digest.hexdigest()}"
        _run(Copying(read, written, name, plan, Progress()))


def _elsewhere() -> dict[str, str]:
    """The environment, without what is said there of the broker to read from."""
    ours = ("TIDELOG_SERVER", "TIDELOG_TOKEN", "TIDELOG_PROFILE")
    return {name: value for name, value in os.environ.items() if name not in ours}


def _prepare(source: Side, target: Side, *, repartition: bool) -> tuple[str, str]:
    """Have a topic to write to; the ids of the two topics.

    Raises UsedWrongly, CommandFailed.
    """
    read = source.shown()
    written = _shown_or_made(target, read)
    if written["id"] == read["id"]:
        raise UsedWrongly(f"a topic is not copied to itself: {source.topic}")
    counts = len(read["partitions"]), len(written["partitions"])
    if counts[0] > counts[1] and not repartition:
        raise CommandFailed(
            f"{source.topic} has {counts[0]} partitions and {target.topic} has {counts[1]}; "
            "--repartition chooses them by key"
        )
    return read["id"], written["id"]


def _shown_or_made(target: Side, read: dict[str, Any]) -> dict[str, Any]:
    try:
        return target.shown()
    except Refused as error:
        if error.status != _GONE:
            raise
    settings = {one["name"]: one["value"] for one in read["settings"] if one["source"] == "topic"}
    count = len(read["partitions"])
    body = {"name": target.topic, "partitions": count, "settings": settings, "if_not_exists": True}
    made: dict[str, Any] = target.client.call("POST", path_of("topics"), body=body)
    print(f"topic {target.topic} with {count} partitions", file=sys.stderr)
    return made


def _run(copying: Copying) -> None:
    """Raises CommandFailed that says how much is copied."""
    try:
        copying.run()
    except CommandFailed as error:
        raise CommandFailed(f"{error}; {_copied(copying)}") from error
    except interrupts.ENDED as ended:
        interrupts.heard()
        print(f"tidelog: {interrupts.word_for(ended)}; {_copied(copying)}", file=sys.stderr)
        raise
    print(_copied(copying), file=sys.stderr)


def _copied(copying: Copying) -> str:
    return f"{counted(copying.copied, 'record')} copied"
