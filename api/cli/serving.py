"""``tidelog serve`` as the other commands are: its help, its completion, what is wrong with it.

It is declared by ``serve.FLAGS``, which the quick parser of ``serve`` reads too.
"""

from __future__ import annotations

import argparse
import inspect
from typing import Annotated, Any

import typer

from tidelog.api.cli.serve import FLAGS, Flag, serve_as


def serve(**given: Any) -> None:
    """Run a broker.

    Settings come from flags, TIDELOG_* variables and tidelog.toml, in that order.
    """
    given["set"] = given["set"] or []
    raise typer.Exit(serve_as(argparse.Namespace(**given)))


def _parameter(flag: Flag) -> inspect.Parameter:
    option = typer.Option(flag.name, metavar=flag.metavar, help=flag.help, show_default=False)
    kind: Any = flag.kind | None
    if flag.metavar is None:
        kind = bool
    elif flag.repeatable:
        kind = list[str] | None
    default = False if flag.metavar is None else None
    return inspect.Parameter(
        flag.name.removeprefix("--").replace("-", "_"),
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, option],
    )


setattr(serve, "__signature__", inspect.Signature([_parameter(flag) for flag in FLAGS]))  # noqa: B010
