"""``tidelog topic``: create, list, show, alter and delete topics."""

from __future__ import annotations

from typing import Annotated

import typer

from tidelog.api.cli.client import Client, named_values, path_of
from tidelog.api.cli.command_group import command_group
from tidelog.api.cli.options import Json, Server, SettingPairs, TopicName
from tidelog.api.cli.output import print_json, print_table, size

app = command_group("Create, list, show, alter and delete topics.")


@app.command()
def create(
    topic: TopicName,
    partitions: Annotated[int | None, typer.Option(help="How many; num.partitions.")] = None,
    setting: SettingPairs = None,
    if_not_exists: Annotated[
        bool, typer.Option("--if-not-exists", help="It is no error if it is there.")
    ] = False,
    json: Json = False,
    server: Server = None,
) -> None:
    """Create a topic."""
    body = {
        "name": topic,
        "partitions": partitions,
        "settings": named_values(setting or ()),
        "if_not_exists": if_not_exists,
    }
    created = Client(server).call("POST", path_of("topics"), body=body)
    if json:
        print_json(created)
    else:
        print(f"topic {topic} with {len(created['partitions'])} partitions")


@app.command("list")
def list_topics(
    prefix: Annotated[str, typer.Option(help="Only names that begin so.")] = "",
    internal: Annotated[
        bool, typer.Option("--internal", help="The broker's own topics too.")
    ] = False,
    json: Json = False,
    server: Server = None,
) -> None:
    """List topics (ls)."""
    query = {"prefix": prefix, "include_internal": str(internal).lower()}
    topics = Client(server).every("topics", query)
    if json:
        print_json(topics)
        return
    print_table(
        "Topics",
        ("topic", "partitions", "records", "size"),
        [(one["name"], one["partitions"], one["records"], size(one["bytes"])) for one in topics],
    )


@app.command()
def show(
    topic: TopicName,
    all_settings: Annotated[
        bool, typer.Option("--all-settings", help="Settings at their default too.")
    ] = False,
    json: Json = False,
    server: Server = None,
) -> None:
    """Show a topic's partitions and settings (describe)."""
    shown = Client(server).call("GET", path_of("topics", topic))
    if json:
        print_json(shown)
        return
    print(f"{shown['name']}  id {shown['id']}")
    print_table(
        "Partitions",
        ("partition", "start", "end", "size", "segments", "state"),
        [
            (
                one["partition"],
                one["start_offset"],
                one["end_offset"],
                size(one["bytes"]),
                one["segments"],
                one["writes_stopped"] or ("damaged" if one["damage"] else "ok"),
            )
            for one in shown["partitions"]
        ],
    )
    settings = [s for s in shown["settings"] if all_settings or s["source"] != "default"]
    if settings:
        print_table(
            "Settings",
            ("setting", "value", "source"),
            [(one["name"], one["value"], one["source"]) for one in settings],
        )


@app.command()
def alter(
    topic: TopicName,
    setting: SettingPairs = None,
    reset: Annotated[list[str] | None, typer.Option(help="A setting to reset.")] = None,
    partitions: Annotated[int | None, typer.Option(help="The new, larger count.")] = None,
    json: Json = False,
    server: Server = None,
) -> None:
    """Change a topic's settings or raise its partition count."""
    settings: dict[str, str | None] = {**named_values(setting or ())}
    settings.update(dict.fromkeys(reset or ()))
    body = {"settings": settings, "partitions": partitions}
    changed = Client(server).call("PATCH", path_of("topics", topic), body=body)
    if json:
        print_json(changed)
    else:
        print(f"topic {topic} changed")


@app.command()
def delete(
    topic: TopicName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    server: Server = None,
) -> None:
    """Delete a topic and its records (rm)."""
    client = Client(server)
    client.call("GET", path_of("topics", topic))
    if not yes:
        typer.confirm(f"Delete topic {topic} and all its records?", abort=True)
    client.call("DELETE", path_of("topics", topic))
    print(f"topic {topic} deleted")
