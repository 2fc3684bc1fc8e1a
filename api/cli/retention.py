"""``tidelog retention``: what segments there are, what would go, and let it go now."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tidelog.api.cli.client import Client, path_of
from tidelog.api.cli.command_group import command_group
from tidelog.api.cli.options import Json, Server, TopicName
from tidelog.api.cli.output import moment, print_json, print_table, size

app = command_group("Show, preview and run retention.")


@app.command()
def show(topic: TopicName, json: Json = False, server: Server = None) -> None:
    """Show a topic's segments."""
    segments = Client(server).call("GET", path_of("topics", topic, "segments"))["segments"]
    if json:
        print_json(segments)
        return
    print_table(
        "Segments",
        ("partition", "base", "offsets", "size", "first", "last", "sealed", "cleaned"),
        [
            (
                one["partition"],
                one["base_offset"],
                one["records"],
                size(one["bytes"]),
                moment(one["first_timestamp"]),
                moment(one["last_timestamp"]),
                "yes" if one["sealed"] else "no",
                "yes" if one["cleaned"] else "no",
            )
            for one in segments
        ],
    )


@app.command()
def preview(topic: TopicName, json: Json = False, server: Server = None) -> None:
    """Say what would go now, and what goes next."""
    _print(Client(server).call("GET", path_of("topics", topic, "retention")), json)


@app.command()
def run(
    topic: TopicName,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    json: Json = False,
    server: Server = None,
) -> None:
    """Apply retention now."""
    path = path_of("topics", topic, "retention:run")
    _print(Client(server).call("POST", path, body={"dry_run": dry_run}), json)


def _print(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    rows: list[tuple[Any, ...]] = []
    for one in answer["partitions"]:
        word = "would go" if answer["dry_run"] else "gone"
        for gone in one["expired"]:
            rows.append((one["partition"], gone["base_offset"], word, gone["reason"]))
        for held in one["held"]:
            by = ", ".join(one["held_by"])
            rows.append((one["partition"], held["base_offset"], "held", f"by {by}"))
        following = one["next"]
        if following is not None:
            rows.append((one["partition"], following["base_offset"], "next", _when(following)))
    print_table("Retention", ("partition", "segment", "what", "why or when"), rows)


def _when(following: dict[str, Any]) -> str:
    parts = []
    if following["at_ms"] is not None:
        parts.append(f"at {moment(following['at_ms'])} UTC")
    if following["after_bytes"] is not None:
        parts.append(f"after {size(following['after_bytes'])} more")
    return " or ".join(parts) or "never by itself"
