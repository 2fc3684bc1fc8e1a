"""The command line but for ``serve``: built with typer, errors in one sentence.

Exit statuses: 0 done, 1 failed, 2 used wrongly, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from tidelog.api.cli import consume, group, log, produce, retention, topic
from tidelog.api.cli.client import CommandFailed
from tidelog.storage.errors import StorageError

_FAILED = 1

app = typer.Typer(
    name="tidelog",
    help="A Kafka-style, log-structured message broker.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"tidelog {version('tidelog')}")
        raise typer.Exit


@app.callback()
def main(
    show_version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """A Kafka-style, log-structured message broker."""


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def serve(context: typer.Context) -> None:
    """Run a broker."""
    from tidelog.api.cli.serve import serve

    raise typer.Exit(serve(context.args))


app.command(help=produce.HELP)(produce.produce)
app.command()(consume.consume)
app.command()(consume.replay)
app.add_typer(topic.app, name="topic")
app.add_typer(group.app, name="group")
app.add_typer(retention.app, name="retention")
app.add_typer(log.app, name="log")


def run(arguments: Sequence[str]) -> int:
    """Run a command; the exit status. Raises SystemExit for what typer ends by itself."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What the locale has no letter for is shown by its number.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app(list(arguments), prog_name="tidelog")
    except CommandFailed as error:
        print(f"tidelog: {error}", file=sys.stderr)
        return error.exit_status
    except StorageError as error:
        print(f"tidelog: {error}", file=sys.stderr)
        return _FAILED
    return 0
