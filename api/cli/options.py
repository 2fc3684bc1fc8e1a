"""Options that many commands share, and the ones that say which broker is meant.

``--server`` and its neighbours may stand before a command or after it, where they count. A command
takes them all as one ``server``, a ``Connection``.
"""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from tidelog.api.cli import completion
from tidelog.api.cli.connection import Connection, choose_connection

_GIVEN = "tidelog.connection"
"""The key of what was given, in the context of the whole command line."""
_PANEL = "Which broker"


def _remember(context: typer.Context, param: typer.CallbackParam, value: Any) -> Any:
    if value:
        context.meta.setdefault(_GIVEN, {})[param.name] = value
    return value


def _connect(context: typer.Context, param: typer.CallbackParam, value: Any) -> Connection | None:
    _remember(context, param, value)
    return None if context.resilient_parsing else connection_of(context)


def connection_of(context: typer.Context) -> Connection:
    """What the options that were given lead to. Raises UsedWrongly."""
    return choose_connection(context.meta.get(_GIVEN, {}), os.environ)


_SERVER: dict[str, Any] = {
    "metavar": "URL",
    "help": "http://HOST:PORT, https://… or HOST:PORT; TIDELOG_SERVER, else this machine's.",
    "show_default": False,
    "rich_help_panel": _PANEL,
}
Server = Annotated[
    Connection | None, typer.Option("--server", parser=str, callback=_connect, **_SERVER)
]


def _declare(
    server: Annotated[str | None, typer.Option(callback=_remember, **_SERVER)] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A broker of 'tidelog profile ls'.",
            callback=_remember,
            autocompletion=completion.profiles,
            rich_help_panel=_PANEL,
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN",
            help="Sent as a bearer token; TIDELOG_TOKEN.",
            callback=_remember,
            rich_help_panel=_PANEL,
        ),
    ] = None,
    ca_file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Certificates to trust, PEM; TIDELOG_CA_FILE.",
            callback=_remember,
            rich_help_panel=_PANEL,
        ),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure",
            help="Take any certificate.",
            callback=_remember,
            rich_help_panel=_PANEL,
        ),
    ] = False,
) -> None:
    """Declares the options; it is not called."""


def connection_options() -> list[Any]:
    """Those of a command that takes none of them itself, for typer's commands."""
    declared = typer.Typer(add_completion=False)
    declared.command()(_declare)
    options: list[Any] = list(typer.main.get_command(declared).params)
    for option in options:
        option.expose_value, option.is_eager = False, True
    return options


def with_connection(command: Any) -> bool:
    """Give all of them to a command that takes a server, and to those above it.

    Whether there is one.
    """
    below = [with_connection(one) for one in getattr(command, "commands", {}).values()]
    if any(below):
        command.params += connection_options()
        return True
    if any(param.name == "server" for param in command.params):
        command.params += connection_options()[1:]
        return True
    return False


Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
TopicName = Annotated[
    str, typer.Argument(help="The topic's name.", autocompletion=completion.topics)
]
GroupName = Annotated[
    str, typer.Argument(help="The group's name.", autocompletion=completion.groups)
]
SettingPairs = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting; repeatable.")
]
