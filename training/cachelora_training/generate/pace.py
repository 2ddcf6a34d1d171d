"""How fast replies arrive and what they cost, while a run is under way."""

from __future__ import annotations

import time
from collections.abc import Callable

from cachelora.terminal import note, stderr
from rich.progress import Progress

from cachelora_training.generate.requests import Reply

__all__ = ["Pace"]

# Seconds between two lines in a log, where no progress bar is seen.
LOG_EVERY = 30.0


class Pace:
    """Counts replies and tokens; shows them in the progress bar, or now and then as a line where there is none.

    Args:
        title: What is being done.
        total: How many replies are wanted.
        display: The progress display, in which a task is made.
        clock: Seconds, from any beginning.
        say: Takes a line; None says it only where stderr is no terminal, because a bar shows the same.
    """

    def __init__(
        self,
        title: str,
        total: int,
        display: Progress,
        *,
        clock: Callable[[], float] = time.monotonic,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.title, self.total = title, total
        self.replies = self.tokens = 0
        self._display, self._task = display, display.add_task(title, total=total)
        self._clock, self._started = clock, clock()
        self._said = self._started
        self._say = say or (note if not stderr.is_terminal else None)

    def add(self, reply: Reply) -> None:
        """Count a reply."""
        self.replies += 1
        self.tokens += reply.prompt_tokens + reply.completion_tokens
        self._display.update(self._task, completed=self.replies, description=f"{self.title} ({self._figures()})")
        now = self._clock()
        if self._say is not None and now - self._said >= LOG_EVERY and self.replies < self.total:
            self._said = now
            self._say(f"{self.title}: {self.replies} of {self.total} replies, {self._figures()}")

    def _figures(self) -> str:
        rate = self.replies / max(self._clock() - self._started, 1e-9)
        tokens = f", {self.tokens:,} tokens" if self.tokens else ""
        # Slow models take longer than a second for one.
        return (f"{rate:.1f} a second" if rate >= 1 else f"{60 * rate:.1f} a minute") + tokens
