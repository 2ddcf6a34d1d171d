"""`cachelora serve`: find the server's program and become it."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

import typer

from cachelora.errors import CacheloraError

__all__ = ["PROGRAM", "find_program", "serve"]

PROGRAM = "cachelora-serve"

# The program knows its own flags and prints its own help, so nothing is parsed here.
serve = typer.Typer(add_completion=False, add_help_option=False, pretty_exceptions_enable=False)


@serve.command(
    "serve",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def run(context: typer.Context) -> None:
    """Serve a bundle as an OpenAI-compatible /v1/embeddings endpoint, on loopback or a Unix socket."""
    program = find_program()
    if sys.prefix != sys.base_prefix:
        # By this the program finds an ONNX Runtime wheel, as in a shell where the environment is active.
        os.environ.setdefault("VIRTUAL_ENV", sys.prefix)
    # The program takes this process's place, so that signals and the exit status are its own.
    os.execv(program, [PROGRAM, *context.args])


def find_program() -> Path:
    """Return the server's program: beside this Python's scripts, in a source checkout's build, or on PATH.

    Raises:
        CacheloraError: it is nowhere.
    """
    scripts = Path(sysconfig.get_path("scripts")) / PROGRAM
    built = Path(__file__).parents[2] / "target" / "release" / PROGRAM
    on_path = shutil.which(PROGRAM)
    for place in (scripts, built, *([Path(on_path)] if on_path else [])):
        if place.is_file() and os.access(place, os.X_OK):
            return place
    raise CacheloraError(
        f"the program {PROGRAM} was not found beside {scripts.parent}, in {built.parent}, or on PATH; "
        f"in a source checkout `make setup` builds it, elsewhere: cargo install --path native/serve"
    )
