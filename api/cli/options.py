"""Options that many commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Server = Annotated[
    str | None,
    typer.Option(help="URL of the broker.", envvar="TIDELOG_SERVER", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
TopicName = Annotated[str, typer.Argument(help="The topic's name.")]
GroupName = Annotated[str, typer.Argument(help="The group's name.")]
SettingPairs = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting; repeatable.")
]
