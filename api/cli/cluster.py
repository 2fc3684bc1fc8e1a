"""``tidelog cluster``: which broker this is, where it listens, what it is set to."""

from __future__ import annotations

from typing import Annotated

import typer

from tidelog.api.cli.client import Client, named_values, path_of
from tidelog.api.cli.command_group import command_group
from tidelog.api.cli.failures import UsedWrongly
from tidelog.api.cli.options import Json, Server, SettingPairs
from tidelog.api.cli.output import age, print_facts, print_json, print_table, readable_setting, size

app = command_group("Show the cluster, which is one broker, and change its settings.")


@app.command()
def show(json: Json = False, server: Server = None) -> None:
    """Show the broker: identity, addresses, limits (describe)."""
    client = Client(server)
    shown = client.call("GET", path_of("broker"))
    if json:
        print_json(shown)
        return
    limits = shown["limits"]
    print_facts(
        [
            ("cluster", shown["cluster_id"]),
            ("node", str(shown["node_id"])),
            ("version", shown["version"]),
            ("up", age(shown["uptime_ms"])),
            ("http", shown["http"]),
            ("kafka", shown["kafka"] or "off"),
            ("topics", str(shown["topics"])),
            ("partitions", str(shown["partitions"])),
            ("largest message", size(limits["max_message_bytes"])),
            ("largest HTTP body", size(limits["max_body_bytes"])),
        ]
    )


@app.command()
def settings(
    all_settings: Annotated[
        bool, typer.Option("--all-settings", help="Settings at their default too.")
    ] = False,
    json: Json = False,
    server: Server = None,
) -> None:
    """Show the broker's settings and where they are from."""
    shown = Client(server).call("GET", path_of("broker", "settings"))["settings"]
    chosen = [one for one in shown if all_settings or one["source"] != "default"]
    if json:
        print_json(chosen)
        return
    if not chosen:
        print("every setting is at its default; --all-settings shows them")
        return
    rows = [
        (one["name"], readable_setting(one["name"], one["value"] or ""), one["source"])
        for one in chosen
    ]
    print_table("Settings", ("setting", "value", "source"), rows)


@app.command()
def alter(
    setting: SettingPairs = None,
    reset: Annotated[list[str] | None, typer.Option(help="A setting to reset.")] = None,
    server: Server = None,
) -> None:
    """Change settings while the broker runs; it keeps them when restarted."""
    changes: dict[str, str | None] = {**named_values(setting or ())}
    changes.update(dict.fromkeys(reset or ()))
    if not changes:
        raise UsedWrongly("give --set NAME=VALUE or --reset NAME")
    Client(server).call("PATCH", path_of("broker", "settings"), body={"settings": changes})
    print(f"{', '.join(changes)} changed")
