"""The command line but for ``serve``: built with typer, errors in one sentence.

Exit statuses: 0 done, 1 failed, 2 used wrongly, 130 interrupted, 143 terminated. A command's
module is imported when it is run, or when all are listed.
"""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from tidelog.api.cli.command_group import CommandGroup
from tidelog.api.cli.failures import CommandFailed
from tidelog.api.cli.options import connection_options, with_connection
from tidelog.storage.errors import StorageError

_FAILED = 1
_Misused: Any = typer.BadParameter.__mro__[2]
"""What typer raises for all that is wrong with a command line: ClickException, wherever it is."""
_PLACES = {
    "serve": "serving:serve",
    "produce": "produce:produce",
    "consume": "consume:consume",
    "replay": "consume:replay",
    "copy": "copy:copy",
    "topic": "topic:app",
    "group": "group:app",
    "retention": "retention:app",
    "status": "status:status",
    "doctor": "doctor:doctor",
    "cluster": "cluster:app",
    "cache": "cache:app",
    "profile": "profile:app",
    "log": "log:app",
}
"""Where each command is: a module here, and in it a function or commands below it."""


class _Root(CommandGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        return list(_PLACES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        # What nobody knows is compared with all there are.
        for name in [cmd_name] if cmd_name in _PLACES else _PLACES:
            if name not in self.commands:
                self.commands[name] = _load(name)
        return super().get_command(ctx, cmd_name)


def _load(name: str) -> Any:
    """The command of that name."""
    file, _, attribute = _PLACES[name].partition(":")
    found = importlib.import_module(f"tidelog.api.cli.{file}")
    place = getattr(found, attribute)
    if isinstance(place, typer.Typer):
        command: Any = typer.main.get_group(place)
    else:
        alone = typer.Typer(add_completion=False)
        alone.command(name, help=getattr(found, "HELP", None))(place)
        command = typer.main.get_command(alone)
    command.name = name
    with_connection(command)
    return command


app = typer.Typer(
    name="tidelog",
    cls=_Root,
    help="A Kafka-style, log-structured message broker.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        import tidelog

        print(f"tidelog {tidelog.__version__}")
        raise typer.Exit


@app.callback()
def main(
    show_version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """A Kafka-style, log-structured message broker."""


def run(arguments: Sequence[str]) -> int:
    """Run a command; the exit status. Raises SystemExit for what typer ends by itself."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What the locale has no letter for is shown by its number.
        sys.stdout.reconfigure(errors="backslashreplace")
    command: Any = typer.main.get_command(app)
    command.params += connection_options()
    try:
        status = command.main(list(arguments), prog_name="tidelog", standalone_mode=False)
    except (CommandFailed, StorageError) as error:
        print(f"tidelog: {error}", file=sys.stderr)
        return getattr(error, "exit_status", _FAILED)
    except typer.Abort:
        print("tidelog: nothing was done", file=sys.stderr)
        return _FAILED
    except _Misused as error:
        return _tell(error)
    return status or 0


def _tell(error: Any) -> int:
    """What typer finds wrong, as other mistakes are told; the exit status."""
    said = error.format_message().strip().rstrip(".")
    # Where no argument is given, the help has been shown in its place.
    if said:
        said = said[0].lower() + said[1:]
        if error.ctx is not None and not said.endswith("?"):
            said += f"; '{error.ctx.command_path} --help' tells what there is"
        print(f"tidelog: {said}", file=sys.stderr)
    status: int = error.exit_code
    return status
