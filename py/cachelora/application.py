"""The one ``cachelora`` command, to which every installed distribution adds its own subcommands.

A distribution registers functions in the entry-point group ``cachelora.commands``; the entry's name
is the subcommand, its value a function with typer annotations. The modules that hold them import
nothing heavy, so that ``cachelora --help`` answers at once on a trainer's machine too.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cachelora import __version__

__all__ = ["ENTRY_POINT_GROUP", "build_application", "installed_commands"]

ENTRY_POINT_GROUP = "cachelora.commands"

# Which distribution brings a command that is not installed here.
DISTRIBUTION_OF_COMMAND = {
    "generate": "cachelora-training",
    "train": "cachelora-training",
    "evaluate": "cachelora-training",
    "calibrate": "cachelora-training",
    "fit-detector": "cachelora-training",
    "replay": "cachelora-training",
    "compare": "cachelora-training",
    "review": "cachelora-training",
    "try": "cachelora-training",
    "pipeline": "cachelora-training",
    "export": "cachelora-export",
    "bench": "cachelora-benchmarks",
    "report": "cachelora-benchmarks",
}


def installed_commands() -> dict[str, EntryPoint]:
    """Return the subcommands of every installed distribution by name."""
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}


class CommandsOfDistributions(TyperGroup):
    """A group whose subcommands are entry points, loaded when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the installed subcommands."""
        return sorted(installed_commands())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return one subcommand; one that is not installed fails with the `pip install` that brings it."""
        entry = installed_commands().get(cmd_name)
        if entry is not None:
            return command_of(cmd_name, entry.load())
        if cmd_name in DISTRIBUTION_OF_COMMAND:
            ctx.fail(f"'{cmd_name}' is not installed here: pip install {DISTRIBUTION_OF_COMMAND[cmd_name]}")
        return None


def command_of(name: str, loaded: Any) -> Any:
    """Return the command that an entry point's value describes: a function, or a typer application."""
    application = loaded
    if not isinstance(loaded, typer.Typer):
        application = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        application.command(name)(loaded)
    command = typer.main.get_command(application)
    command.name = name
    return command


def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Train, measure, export and serve sentence encoders for semantic caches."""
    if version:
        print(__version__)
        raise typer.Exit


def build_application() -> Any:
    """Return the command that dispatches to the subcommands."""
    application = typer.Typer(
        cls=CommandsOfDistributions,
        no_args_is_help=True,
        invoke_without_command=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    application.callback()(root)
    return typer.main.get_command(application)
