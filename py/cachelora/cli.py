"""The entry point of the ``cachelora`` command."""

from __future__ import annotations

import sys
from typing import NoReturn

from cachelora.errors import CacheloraError

__all__ = ["main"]


def main() -> None:
    """Run the ``cachelora`` command: exit 0 on success, 1 on failure, 2 on bad usage."""
    try:
        from cachelora.application import build_application
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        fail('the command line needs typer and rich: pip install "cachelora[cli]"')
    try:
        build_application()()
    except CacheloraError as error:
        fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def fail(message: str) -> NoReturn:
    """Print one error to stderr and exit with status 1."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)
