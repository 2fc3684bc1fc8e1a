"""``tidelog cache``: what the read cache holds; change its bounds, warm it, drop from it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tidelog.api.cli.client import Client, path_of
from tidelog.api.cli.command_group import command_group
from tidelog.api.cli.failures import UsedWrongly
from tidelog.api.cli.options import Json, Server, TopicName
from tidelog.api.cli.output import age, counted, print_facts, print_json, print_table, size

app = command_group("Show the read cache, change its bounds, warm it, drop from it.")

Partition = Annotated[int, typer.Option("--partition", "-p", min=0, help="Its number.")]


@app.command()
def show(json: Json = False, server: Server = None) -> None:
    """Show what is cached and how often it answered (describe)."""
    _print(Client(server).call("GET", path_of("cache")), json)


@app.command()
def alter(
    budget: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory for it, as 128MiB; 0 for none.")
    ] = None,
    ttl: Annotated[
        str | None, typer.Option(metavar="TIME", help="How long it keeps, as 1h; 0 for no end.")
    ] = None,
    json: Json = False,
    server: Server = None,
) -> None:
    """Change its bounds until the broker's next start."""
    from tidelog.api.units import parse_duration, parse_size

    body: dict[str, int] = {}
    for option, field, text, parse in (
        ("--budget", "budget_bytes", budget, parse_size),
        ("--ttl", "ttl_ms", ttl, parse_duration),
    ):
        if text is not None:
            try:
                body[field] = parse(text)
            except ValueError as error:
                raise UsedWrongly(f"{option}: {error}") from None
    if not body:
        raise UsedWrongly("give --budget, --ttl or both")
    _print(Client(server).call("PATCH", path_of("cache"), body=body), json)


@app.command()
def warm(
    topic: TopicName,
    partition: Partition = 0,
    from_offset: Annotated[
        int | None, typer.Option("--from", min=0, help="First offset; where the log begins.")
    ] = None,
    to_offset: Annotated[
        int | None, typer.Option("--to", min=0, help="Offset to stop before; its end.")
    ] = None,
    json: Json = False,
    server: Server = None,
) -> None:
    """Read a range into it, as much as it can hold."""
    with Client(server) as client:
        partitions = client.call("GET", path_of("topics", topic))["partitions"]
        found = next((one for one in partitions if one["partition"] == partition), None)
        start, end = (found["start_offset"], found["end_offset"]) if found else (0, 0)
        body = {
            "topic": topic,
            "partition": partition,
            "from_offset": start if from_offset is None else from_offset,
            "to_offset": end if to_offset is None else to_offset,
        }
        warmed = client.call("POST", path_of("cache:warm"), body=body)
    if json:
        print_json(warmed)
    else:
        print(f"{size(warmed['bytes'])} of {topic}-{partition} cached")


@app.command()
def drop(
    topic: TopicName,
    partition: Annotated[
        int | None, typer.Option("--partition", "-p", min=0, help="Only this one.")
    ] = None,
    json: Json = False,
    server: Server = None,
) -> None:
    """Drop what it holds of a topic."""
    tag = f"topic:{topic}" if partition is None else f"partition:{topic}-{partition}"
    dropped = Client(server).call("DELETE", path_of("cache"), {"tag": tag})
    if json:
        print_json(dropped)
    else:
        print(f"{counted(dropped['entries'], 'entry', 'entries')} dropped")


def _print(shown: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(shown)
        return
    total, ttl_ms = shown["total"], shown["ttl_ms"]
    print_facts(
        [
            ("size", f"{size(shown['used_bytes'])} of {size(shown['budget_bytes'])}"),
            ("kept", "for as long as there is room" if ttl_ms is None else age(ttl_ms)),
            ("hit rate", _rate(total)),
        ]
    )
    rows = [
        (topic, one["hits"], one["misses"], _rate(one), size(one["bytes"]))
        for topic, one in shown["topics"].items()
    ]
    print_table("Topics", ("topic", "hits", "misses", "hit rate", "size"), rows)


def _rate(numbers: dict[str, Any]) -> str:
    asked = numbers["hits"] + numbers["misses"]
    return f"{numbers['hit_rate']:.1%}" if asked else "-"
