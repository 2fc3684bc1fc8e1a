"""``tidelog profile``: brokers by name, so that commands need no ``--server``."""

from __future__ import annotations

import os
import re
from typing import Annotated

import typer

from tidelog.api.cli import completion
from tidelog.api.cli.command_group import command_group
from tidelog.api.cli.connection import is_word, parse_server
from tidelog.api.cli.failures import UsedWrongly
from tidelog.api.cli.options import Json
from tidelog.api.cli.output import print_json, print_table
from tidelog.api.cli.profiles import Profile, Profiles

app = command_group("Keep brokers by name: add, use, list, delete.")

Name = Annotated[
    str, typer.Argument(help="The profile's name.", autocompletion=completion.profiles)
]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="A name for it: letters, digits, . _ -")],
    url: Annotated[str, typer.Argument(metavar="URL", help="http(s)://HOST:PORT, HOST:PORT.")],
    token: Annotated[
        str | None, typer.Option(help="Sent as a bearer token; - asks for it.", metavar="TOKEN")
    ] = None,
    ca_file: Annotated[
        str | None, typer.Option(help="Certificates to trust, PEM.", metavar="FILE")
    ] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Take any certificate.")] = False,
) -> None:
    """Add a broker, or change what is known of it; the first one is in use."""
    if not _NAME.fullmatch(name):
        raise UsedWrongly(f"{name!r}: a name has letters, digits, . _ and - only")
    if token == "-":
        token = typer.prompt("Token", hide_input=True)
    if token is not None and not is_word(token):
        raise UsedWrongly("--token: a token is one word of printable ASCII")
    if not parse_server(url).secure and (ca_file or insecure):
        raise UsedWrongly(f"--ca-file and --insecure go with https, not with {url}")
    path = None if ca_file is None else os.path.abspath(ca_file)
    profiles = Profiles.load(os.environ).with_one(name, Profile(url, token, path, insecure))
    profiles.save()
    used = ", which is in use" if profiles.used == name else ""
    print(f"profile {name} is {url}{used}")


@app.command()
def use(name: Name) -> None:
    """Use a broker where none is named."""
    profiles = Profiles.load(os.environ).using(name)
    profiles.save()
    print(f"profile {name} is in use: {profiles.named(name).server}")


@app.command("list")
def list_profiles(json: Json = False) -> None:
    """List brokers (ls); tokens are not shown."""
    profiles = Profiles.load(os.environ)
    shown = [
        {
            "name": name,
            "server": one.server,
            "used": name == profiles.used,
            "token": one.token is not None,
            "ca_file": one.ca_file,
            "insecure": one.insecure,
        }
        for name, one in profiles.by_name.items()
    ]
    if json:
        print_json(shown)
        return
    rows = [
        (
            one["name"],
            one["server"],
            "yes" if one["used"] else "",
            "yes" if one["token"] else "",
            "insecure" if one["insecure"] else one["ca_file"],
        )
        for one in shown
    ]
    print_table("Profiles", ("profile", "server", "in use", "token", "certificates"), rows)


@app.command()
def delete(name: Name) -> None:
    """Forget a broker (rm)."""
    Profiles.load(os.environ).without(name).save()
    print(f"profile {name} deleted")
