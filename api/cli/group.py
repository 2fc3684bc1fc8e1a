"""``tidelog group``: list, show, reset and delete consumer groups."""

from __future__ import annotations

import contextlib
import json as jsonlib
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, NamedTuple

import typer

from tidelog.api.cli import completion, interrupts
from tidelog.api.cli.client import Client, path_of
from tidelog.api.cli.command_group import command_group
from tidelog.api.cli.failures import CommandFailed, UsedWrongly
from tidelog.api.cli.options import GroupName, Json, Server
from tidelog.api.cli.output import counted, pretty, print_json, print_table, rich_table

app = command_group("List, show, reset and delete consumer groups.")


_INTERVAL_MIN_S = 0.05
_TARGETS = ("earliest", "latest", "offset", "timestamp", "duration", "shift")


class _Table(NamedTuple):
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    shortened: Sequence[str] = ()


@app.command("list")
def list_groups(json: Json = False, server: Server = None) -> None:
    """List groups (ls)."""
    groups = Client(server).every("groups")
    if json:
        print_json(groups)
        return
    rows = [(one["group"], one["state"], one["type"], one["members"]) for one in groups]
    print_table("Groups", ("group", "state", "type", "members"), rows)


@app.command()
def show(
    group: GroupName,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on showing it until interrupted.")
    ] = False,
    interval: Annotated[
        str, typer.Option(metavar="TIME", help="From one look to the next: seconds, or 500ms.")
    ] = "2s",
    json: Json = False,
    server: Server = None,
) -> None:
    """Show members, committed offsets and lag (describe)."""
    client = Client(server)
    looks = _looks(client, group, _seconds(interval)) if watch else iter([_look(client, group)])
    with contextlib.suppress(KeyboardInterrupt):
        if json:
            for shown in looks:
                print(jsonlib.dumps(shown, ensure_ascii=False) if watch else pretty(shown))
                sys.stdout.flush()
        elif watch and sys.stdout.isatty():
            _show_live(looks)
        else:
            for shown in looks:
                print(_summary(shown))
                for table in _tables(shown):
                    print_table(*table)
                sys.stdout.flush()


def _seconds(text: str) -> float:
    """Of ``--interval``. Raises UsedWrongly."""
    from tidelog.api.units import parse_duration

    number = text.replace(".", "", 1)
    try:
        whole = number.isascii() and number.isdigit()
        seconds = float(text) if whole else parse_duration(text) / 1000
    except ValueError as error:
        raise UsedWrongly(f"--interval: {error}") from None
    if not _INTERVAL_MIN_S <= seconds <= threading.TIMEOUT_MAX:
        raise UsedWrongly(f"--interval {text}: expected at least {_INTERVAL_MIN_S} seconds")
    return seconds


def _look(client: Client, group: str) -> dict[str, Any]:
    shown: dict[str, Any] = client.call("GET", path_of("groups", group))
    return shown


def _looks(client: Client, group: str, interval: float) -> Iterator[dict[str, Any]]:
    while True:
        yield _look(client, group)
        time.sleep(interval)


def _show_live(looks: Iterator[dict[str, Any]]) -> None:
    """In place, on a terminal."""
    from rich.console import Group, RenderableType
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False, vertical_overflow="visible") as live:
        for shown in looks:
            parts: list[RenderableType] = [Text(_summary(shown))]
            parts += [rich_table(*table) for table in _tables(shown)]
            # Cut in a write, the output would be lost from there on: a hidden cursor stayed hidden.
            with interrupts.held():
                live.update(Group(*parts), refresh=True)


def _summary(shown: dict[str, Any]) -> str:
    members = len(shown["members"])
    moment = time.strftime("%H:%M:%S")
    state, behind = shown["state"], f"{shown['total_lag']} behind"
    if any(one["lag"] is None for one in shown["lag"]):
        behind = f"at least {behind}"
    return f"{moment}  {shown['group']}  {state}, {counted(members, 'member')}, {behind}"


def _tables(shown: dict[str, Any]) -> list[_Table]:
    lag = _Table(
        "Lag",
        ("topic", "partition", "committed", "end", "lag", "seconds", "member"),
        [
            (
                *(one["topic"], one["partition"], one["committed_offset"], one["end_offset"]),
                one["lag"],
                None if one["lag_seconds"] is None else f"{one['lag_seconds']:.0f}",
                one["member_id"],
            )
            for one in shown["lag"]
        ],
        # The next table has them whole.
        shortened=("member",),
    )
    members = _Table(
        "Members",
        ("member", "instance", "client", "host", "partitions"),
        [
            (
                *(one["member_id"], one["instance_id"], one["client_id"], one["client_host"]),
                len(one["partitions"]),
            )
            for one in shown["members"]
        ],
    )
    return [lag, members] if shown["members"] else [lag]


@app.command()
def reset(
    group: GroupName,
    to: Annotated[
        str,
        typer.Option(
            metavar="OFFSET|TIME|WORD",
            help="earliest, latest, an offset, a time (-1h, 2023-11-14); or with --value: offset, "
            "timestamp, duration or shift.",
        ),
    ],
    value: Annotated[
        str | None, typer.Option(help="The offset, time, duration (1h) or records to shift.")
    ] = None,
    topic: Annotated[
        list[str] | None,
        typer.Option(help="Only this topic; repeatable.", autocompletion=completion.topics),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Even while the group has members.")
    ] = False,
    json: Json = False,
    server: Server = None,
) -> None:
    """Move a group's offsets."""
    body = {**_target(to, value), "topics": topic, "dry_run": dry_run, "force": force}
    path = path_of("groups", group, "offsets:reset")
    changes = Client(server).call("POST", path, body=body)["changes"]
    if json:
        print_json(changes)
        return
    rows = [(one["topic"], one["partition"], one["before"], one["after"]) for one in changes]
    title = "Would change" if dry_run else "Changed"
    print_table(title, ("topic", "partition", "before", "after"), rows)


def _target(to: str, value: str | None) -> dict[str, Any]:
    """As the broker is asked for it. Raises CommandFailed."""
    if value is not None:
        return {"to": to, "value": value if to in ("timestamp", "duration") else _number(value)}
    if to.isascii() and to.isdigit():
        return {"to": "offset", "value": int(to)}
    if to[:1].isdigit() or to.startswith(("-", "ts:")) or to == "now":
        return {"to": "timestamp", "value": to.removeprefix("ts:")}
    if to not in _TARGETS:
        raise UsedWrongly(f"--to {to}: expected {', '.join(_TARGETS)}, an offset or a time as -1h")
    return {"to": to}


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise CommandFailed(f"--value {text}: expected a whole number") from None


@app.command()
def delete(group: GroupName, server: Server = None) -> None:
    """Delete a group without members, its offsets too (rm)."""
    Client(server).call("DELETE", path_of("groups", group))
    print(f"group {group} deleted")
