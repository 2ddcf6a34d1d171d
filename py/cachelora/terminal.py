"""What every command prints, and where: facts on stdout, everything else on stderr.

Needs rich, which the ``cli`` extra installs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

__all__ = ["emit", "note", "progress", "stderr", "stdout"]

stdout = Console(soft_wrap=True)
stderr = Console(stderr=True, soft_wrap=True)


def note(message: str) -> None:
    """Print one line about what is going on to stderr."""
    stderr.print(message, style="dim", highlight=False, markup=False)


def progress() -> Progress:
    """Return a progress display on stderr; it stays silent where stderr is not a terminal.

    Use it as a context manager and call ``add_task(description, total=n)`` and ``advance(task)``.
    """
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=stderr,
        transient=True,
        disable=not stderr.is_terminal,
    )


def emit(facts: Mapping[str, Any], *, as_json: bool, render: Callable[[], None]) -> None:
    """Print ``facts`` as one JSON document on stdout, or call ``render`` to show them to a person."""
    if as_json:
        print(json.dumps(facts, ensure_ascii=False, indent=2))
    else:
        render()
