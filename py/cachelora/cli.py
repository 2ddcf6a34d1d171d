"""The entry point of the ``cachelora`` command."""

from __future__ import annotations

import sys
from typing import NoReturn

from cachelora.errors import CacheloraError, UsageError

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
    except UsageError as error:
        fail(str(error), status=2)
    except CacheloraError as error:
        fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def fail(message: str, status: int = 1) -> NoReturn:
    """Print one error to stderr and exit."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(status)
