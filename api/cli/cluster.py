"""``tidelog cluster``: which broker this is, where it listens and what it bears."""

from __future__ import annotations

from tidelog.api.cli.client import Client, path_of
from tidelog.api.cli.command_group import command_group
from tidelog.api.cli.options import Json, Server
from tidelog.api.cli.output import age, print_facts, print_json, size

app = command_group("Show the cluster, which is one broker.")


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
