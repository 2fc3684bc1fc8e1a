"""``tidelog topic``: create, list, show, alter, trim and delete topics."""

from __future__ import annotations

from typing import Annotated

import typer

from tidelog.api.cli.client import Client, named_values, path_of
from tidelog.api.cli.command_group import command_group
from tidelog.api.cli.failures import CommandFailed, UsedWrongly
from tidelog.api.cli.options import Json, Server, SettingPairs, TopicName
from tidelog.api.cli.output import counted, print_json, print_table, readable_setting, size

app = command_group("Create, list, show, alter, trim and delete topics.")

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


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
        print(f"topic {topic} with {counted(len(created['partitions']), 'partition')}")


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
        rows = [(s["name"], readable_setting(s["name"], s["value"]), s["source"]) for s in settings]
        print_table("Settings", ("setting", "value", "source"), rows)


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
    if not settings and partitions is None:
        raise UsedWrongly("give --set NAME=VALUE, --reset NAME or --partitions COUNT")
    body = {"settings": settings, "partitions": partitions}
    changed = Client(server).call("PATCH", path_of("topics", topic), body=body)
    if json:
        print_json(changed)
    else:
        print(f"topic {topic} changed")


@app.command()
def trim(
    topic: TopicName,
    before: Annotated[
        str,
        typer.Option(
            metavar="OFFSET|TIME",
            help="An offset; a time, as -7d, 2023-11-14 or ts:MILLISECONDS; latest for all.",
        ),
    ],
    partition: Annotated[
        int | None, typer.Option("--partition", "-p", min=0, help="Only this one.")
    ] = None,
    yes: Yes = False,
    json: Json = False,
    server: Server = None,
) -> None:
    """Delete the records of a topic that are older."""
    with Client(server) as client:
        trims = _trims(client, topic, before, partition)
        doomed = sum(max(0, one["before_offset"] - one["start_offset"]) for one in trims)
        if not yes:
            typer.confirm(f"Delete {counted(doomed, 'record')} of topic {topic}?", abort=True)
        for one in trims:
            path = path_of("topics", topic, "partitions", one["partition"], "records")
            client.call("DELETE", path, {"before_offset": one["before_offset"]})
    if json:
        print_json(trims)
    else:
        print(f"{counted(doomed, 'record')} of topic {topic} deleted")


def _trims(client: Client, topic: str, before: str, partition: int | None) -> list[dict[str, int]]:
    """For each partition where it starts and what is to be its first offset.

    Raises CommandFailed.
    """
    shown = client.call("GET", path_of("topics", topic))["partitions"]
    found = [one for one in shown if partition in (None, one["partition"])]
    if not found:
        raise CommandFailed(f"topic {topic} has no partition {partition}")
    if before.isascii() and before.isdigit():
        if len(found) > 1:
            raise UsedWrongly(f"--before {before}: an offset is of one --partition")
        offsets = {found[0]["partition"]: int(before)}
    else:
        query = {"timestamp": before.removeprefix("ts:")}
        answer = client.call("GET", path_of("topics", topic, "offsets"), query)
        offsets = {one["partition"]: one["offset"] for one in answer["offsets"]}
    return [
        {
            "partition": one["partition"],
            "start_offset": one["start_offset"],
            "before_offset": max(offsets[one["partition"]], one["start_offset"]),
        }
        for one in found
        if one["partition"] in offsets
    ]


@app.command()
def delete(
    topic: TopicName,
    yes: Yes = False,
    server: Server = None,
) -> None:
    """Delete a topic and its records (rm)."""
    client = Client(server)
    client.call("GET", path_of("topics", topic))
    if not yes:
        typer.confirm(f"Delete topic {topic} and all its records?", abort=True)
    client.call("DELETE", path_of("topics", topic))
    print(f"topic {topic} deleted")
