"""The one ``cachelora`` command. Every installed distribution adds its own subcommands.

A distribution registers functions in the entry-point group ``cachelora.commands``; the entry's name
is the subcommand, its value a function with typer annotations. The modules that hold them import
nothing heavy, so that ``cachelora --help`` answers at once on a trainer's machine too.
"""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NoReturn

from cachelora.errors import CacheloraError

__all__ = ["ENTRY_POINT_GROUP", "main"]

ENTRY_POINT_GROUP = "cachelora.commands"

# Which distribution brings a command that is not installed here.
DISTRIBUTION_OF_COMMAND = {
    "embed": "cachelora",
    "similarity": "cachelora",
    "doctor": "cachelora",
    "train": "cachelora-training",
    "evaluate": "cachelora-training",
    "calibrate": "cachelora-training",
    "export": "cachelora-export",
    "bench": "cachelora-benchmarks",
}


def main() -> None:
    """Run the ``cachelora`` command: exit 0 on success, 1 on failure, 2 on bad usage."""
    try:
        import typer  # noqa: F401
    except ModuleNotFoundError:
        fail('the command line needs typer and rich: pip install "cachelora[cli]"')
    application = build_application()
    try:
        application()
    except CacheloraError as error:
        fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def fail(message: str) -> NoReturn:
    """Print one error to stderr and exit with status 1."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)


def installed_commands() -> dict[str, EntryPoint]:
    """Return the subcommands of every installed distribution by name."""
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}


def build_application() -> Any:
    """Return the click command that dispatches to the subcommands, loading each only when it is used."""
    import typer
    from typer.core import TyperGroup

    entries = installed_commands()

    class CommandsOfDistributions(TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            del ctx
            return list(entries)

        def get_command(self, ctx: Any, name: str) -> Any:
            if name in entries:
                single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
                loaded = entries[name].load()
                if isinstance(loaded, typer.Typer):
                    command = typer.main.get_command(loaded)
                else:
                    single.command(name)(loaded)
                    command = typer.main.get_command(single)
                command.name = name
                return command
            if name in DISTRIBUTION_OF_COMMAND:
                ctx.fail(f"'{name}' is not installed here: pip install {DISTRIBUTION_OF_COMMAND[name]}")
            return super().get_command(ctx, name)

    application = typer.Typer(
        cls=CommandsOfDistributions,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Train, measure, export and serve sentence encoders for semantic caches.",
    )

    @application.callback(invoke_without_command=True)
    def root(
        context: typer.Context,
        version: bool = typer.Option(False, "--version", help="Print the version and exit."),
    ) -> None:
        if version:
            from cachelora import __version__

            print(__version__)
            raise typer.Exit
        del context

    return typer.main.get_command(application)
