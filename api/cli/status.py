"""``tidelog status``: one look at a broker. The exit status is 1 unless everything is served."""

from __future__ import annotations

from typing import Any

import typer

from tidelog.api.cli.client import Client, path_of
from tidelog.api.cli.failures import Refused
from tidelog.api.cli.options import Json, Server
from tidelog.api.cli.output import age, counted, print_facts, print_json, print_table, size

SERVED = ("ok", "degraded")
"""States in which everything is served."""
_GROUPS_MAX = 50
"""Whose lag is asked for, one by one."""


def status(json: Json = False, server: Server = None) -> None:
    """Say how a broker is: what it serves, holds and waits for."""
    with Client(server) as client:
        found = look(client)
    if json:
        print_json(found)
    else:
        _print(client.server, found)
    if found["health"]["status"] not in SERVED:
        raise typer.Exit(1)


def health_of(client: Client) -> dict[str, Any]:
    """What the broker says of itself, whatever its state is. Raises CommandFailed."""
    try:
        told: dict[str, Any] = client.call("GET", "/health/ready")
    except Refused as error:
        if error.status != 503:
            raise
        told = client.call("GET", "/health/live")
    return told


def look(client: Client) -> dict[str, Any]:
    """Health, broker, topics and groups; only health where nothing else is told yet.

    Raises CommandFailed.
    """
    health = health_of(client)
    found: dict[str, Any] = {"health": health, "broker": None, "topics": [], "groups": []}
    if health["status"] in ("recovering", "stopping"):
        return found
    found["broker"] = client.call("GET", path_of("broker"))
    found["topics"] = client.every("topics")
    groups = client.every("groups")
    for group in groups[:_GROUPS_MAX]:
        group["total_lag"] = client.call("GET", path_of("groups", group["group"]))["total_lag"]
    found["groups"] = groups
    return found


def _print(server: str, found: dict[str, Any]) -> None:
    health, broker = found["health"], found["broker"]
    facts = [("broker", server), ("state", _state(health))]
    if broker is not None:
        topics = found["topics"]
        partitions = sum(one["partitions"] for one in topics)
        records = sum(one["records"] for one in topics)
        facts += [
            ("version", f"{broker['version']}, up {age(broker['uptime_ms'])}"),
            ("cluster", f"{broker['cluster_id']}, node {broker['node_id']}"),
            ("kafka", broker["kafka"] or "off"),
            ("topics", f"{len(topics)} with {counted(partitions, 'partition')}"),
            ("records", f"{records} in {size(sum(one['bytes'] for one in topics))}"),
            ("groups", str(len(found["groups"]))),
        ]
    print_facts(facts)
    for problem in health["problems"]:
        print(f"problem: {problem}")
    behind = [one for one in found["groups"] if one.get("total_lag")]
    if behind:
        behind.sort(key=lambda one: -one["total_lag"])
        rows = [(one["group"], one["state"], one["members"], one["total_lag"]) for one in behind]
        print_table("Groups that are behind", ("group", "state", "members", "lag"), rows)


def _state(health: dict[str, Any]) -> str:
    if health["status"] != "recovering":
        return str(health["status"])
    done, total = size(health["recovered_bytes"]), size(health["total_bytes"])
    return f"recovering: {health['recovered']} of {health['total']} partitions, {done} of {total}"
