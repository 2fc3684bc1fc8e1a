"""Commands that stand below another, such as ``tidelog topic``."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

_SHORT = {"ls": "list", "describe": "show", "rm": "delete"}
"""Other names that people type; the help of a command tells them."""


class CommandGroup(TyperGroup):
    """Commands of which some have a short name too."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """None where there is none of that name."""
        name = cmd_name if cmd_name in self.commands else _SHORT.get(cmd_name, cmd_name)
        return super().get_command(ctx, name)


def command_group(help: str) -> typer.Typer:
    """To add commands to."""
    return typer.Typer(cls=CommandGroup, help=help, no_args_is_help=True, add_completion=False)
