"""``tidelog doctor``: what may be wrong with a broker, and what helps.

The exit status is 1 if something is wrong; a warning is no failure.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import typer

import tidelog
from tidelog.api.cli.client import Client, path_of
from tidelog.api.cli.failures import CommandFailed, NoAnswer
from tidelog.api.cli.options import Json, Server
from tidelog.api.cli.output import age, counted, print_json, print_table
from tidelog.api.cli.status import SERVED, health_of

_OK, _WARNING, _WRONG = "ok", "warning", "wrong"
_SLOW_S = 1.0
_SKEW_MS = 5_000
_PATIENCE_S = 5.0
_FILES_SHARE = 0.8
_DISK_SHARE = 0.1
_FILES_FEW = 4096
_NOWHERE = ("0.0.0.0", "::")
_API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)
"""A whole request of the Kafka protocol: ApiVersions, version 0, correlation id 1, no client id."""


class Check(NamedTuple):
    """Something that was looked at; ``verdict`` is ok, warning or wrong."""

    check: str
    verdict: str
    found: str


def doctor(json: Json = False, server: Server = None) -> None:
    """Look for what may be wrong with a broker, and say what helps."""
    with Client(server) as client:
        checks = list(_checks(client))
    if json:
        print_json([check._asdict() for check in checks])
    else:
        print_table("Checks", ("check", "verdict", "found"), checks)
    if any(check.verdict == _WRONG for check in checks):
        raise typer.Exit(1)


def _checks(client: Client) -> Iterator[Check]:
    started = time.monotonic()
    try:
        health = health_of(client)
    except NoAnswer as error:
        yield Check("http", _WRONG, str(error))
        return
    took_s = time.monotonic() - started
    slow = took_s > _SLOW_S
    yield Check("http", _WARNING if slow else _OK, f"answers in {took_s * 1000:.0f} ms")
    yield from _health(health)
    if health["status"] in ("recovering", "stopping"):
        return
    broker = client.call("GET", path_of("broker"))
    yield _version(broker["version"])
    yield _clock(broker["now_ms"] - int(time.time() * 1000))
    yield _kafka(broker["kafka"], client.host)
    yield from _process(_metrics(client))
    yield from _groups(client)


def _health(health: dict[str, Any]) -> Iterator[Check]:
    told = health["status"]
    verdict = _OK if told == "ok" else _WARNING if told in SERVED else _WRONG
    if told in ("recovering", "stopping"):
        verdict = _WARNING
    yield Check("health", verdict, told)
    for problem in health["problems"]:
        yield Check("health", verdict, problem)


def _version(served: str) -> Check:
    own = tidelog.__version__
    if served == own:
        return Check("version", _OK, served)
    return Check("version", _WARNING, f"the broker is {served}, this command line {own}")


def _clock(ahead_ms: int) -> Check:
    if abs(ahead_ms) <= _SKEW_MS:
        return Check("clock", _OK, "as here")
    where = "ahead of" if ahead_ms > 0 else "behind"
    return Check(
        "clock",
        _WARNING,
        f"{age(abs(ahead_ms))} {where} this machine's: retention and time stamps go by it",
    )


def _kafka(told: str | None, host: str) -> Check:
    if told is None:
        return Check("kafka", _OK, "off")
    address = urlsplit(f"//{told}")
    name = host if address.hostname in _NOWHERE else address.hostname
    try:
        with socket.create_connection((name or host, address.port or 0), _PATIENCE_S) as connection:
            connection.sendall(_API_VERSIONS)
            answered = len(connection.recv(8, socket.MSG_WAITALL)) == 8
    except OSError as error:
        reason = " ".join(str(error).split())
        return Check(
            "kafka",
            _WRONG,
            f"{told} cannot be reached from here ({reason}); Kafka clients are told what "
            "--advertised says",
        )
    if not answered:
        return Check("kafka", _WRONG, f"what listens at {told} does not speak Kafka's protocol")
    return Check("kafka", _OK, f"answers at {told}")


def _metrics(client: Client) -> dict[str, float]:
    """Those without labels."""
    found = {}
    for line in client.content("GET", "/metrics").decode(errors="replace").splitlines():
        name, _, value = line.partition(" ")
        if name and "{" not in name and not name.startswith("#"):
            found[name] = float(value)
    return found


def _process(metrics: dict[str, float]) -> Iterator[Check]:
    most, used = metrics.get("process_max_fds"), metrics.get("process_open_fds")
    if most and used is not None:
        verdict, found = _OK, f"{used:.0f} of {most:.0f} are open"
        if used > most * _FILES_SHARE or most < _FILES_FEW:
            verdict = _WARNING
            found += "; raise the limit (ulimit -n, LimitNOFILE=) before topics and clients grow"
        yield Check("open files", verdict, found)
    total, free = metrics.get("tidelog_disk_size_bytes"), metrics.get("tidelog_disk_free_bytes")
    if total and free is not None:
        verdict = _OK if free > total * _DISK_SHARE else _WARNING
        yield Check("disk", verdict, f"{free / total:.0%} is free")


def _groups(client: Client) -> Iterator[Check]:
    groups = client.every("groups")
    left = [one["group"] for one in groups if not one["members"]]
    for name in left:
        try:
            lag = client.call("GET", path_of("groups", name))["total_lag"]
        except CommandFailed:
            continue
        if lag:
            yield Check(
                "groups", _WARNING, f"{name} has no members and is {counted(lag, 'record')} behind"
            )
    yield Check("groups", _OK, f"{len(groups)}, {len(left)} of them without members")
