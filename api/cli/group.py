"""``tidelog group``: list, show, reset and delete consumer groups."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from tidelog.api.cli.client import Client, CommandFailed, path_of
from tidelog.api.cli.options import GroupName, Json, Server
from tidelog.api.cli.output import print_json, print_table

app = typer.Typer(help="List, show, reset and delete consumer groups.", no_args_is_help=True)
_WATCH_S = 2.0


@app.command("list")
def list_groups(json: Json = False, server: Server = None) -> None:
    """List groups."""
    groups = Client(server).call("GET", path_of("groups"))["groups"]
    if json:
        print_json(groups)
        return
    rows = [(one["group"], one["state"], one["type"], one["members"]) for one in groups]
    print_table("Groups", ("group", "state", "type", "members"), rows)


@app.command()
def show(
    group: GroupName,
    watch: Annotated[bool, typer.Option(help="Show it again every two seconds.")] = False,
    json: Json = False,
    server: Server = None,
) -> None:
    """Show members, committed offsets and lag."""
    client = Client(server)
    while True:
        shown = client.call("GET", path_of("groups", group))
        if json:
            print_json(shown)
        else:
            if watch:
                print("\033[2J\033[H", end="")
            _print(shown)
        if not watch:
            return
        time.sleep(_WATCH_S)


def _print(shown: dict[str, Any]) -> None:
    members = len(shown["members"])
    print(f"{shown['group']}  {shown['state']}, {members} members, {shown['total_lag']} behind")
    print_table(
        "Lag",
        ("topic", "partition", "committed", "end", "lag", "seconds", "member"),
        [
            (
                one["topic"],
                one["partition"],
                one["committed_offset"],
                one["end_offset"],
                one["lag"],
                None if one["lag_seconds"] is None else f"{one['lag_seconds']:.0f}",
                one["member_id"],
            )
            for one in shown["lag"]
        ],
    )


@app.command()
def reset(
    group: GroupName,
    to: Annotated[
        str, typer.Option(help="earliest, latest, offset, timestamp, duration or shift.")
    ],
    value: Annotated[
        str | None, typer.Option(help="The offset, time, milliseconds or records to shift.")
    ] = None,
    topic: Annotated[list[str] | None, typer.Option(help="Only this topic; repeatable.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Only say what would change.")] = False,
    force: Annotated[bool, typer.Option(help="Even while the group has members.")] = False,
    json: Json = False,
    server: Server = None,
) -> None:
    """Move a group's offsets."""
    body: dict[str, Any] = {"to": to, "topics": topic, "dry_run": dry_run, "force": force}
    if value is not None:
        body["value"] = value if to == "timestamp" else _number(value)
    path = path_of("groups", group, "offsets:reset")
    changes = Client(server).call("POST", path, body=body)["changes"]
    if json:
        print_json(changes)
        return
    rows = [(one["topic"], one["partition"], one["before"], one["after"]) for one in changes]
    title = "Would change" if dry_run else "Changed"
    print_table(title, ("topic", "partition", "before", "after"), rows)


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise CommandFailed(f"--value {text}: expected a whole number") from None


@app.command()
def delete(group: GroupName, server: Server = None) -> None:
    """Delete a group without members, its offsets too."""
    Client(server).call("DELETE", path_of("groups", group))
    print(f"group {group} deleted")
