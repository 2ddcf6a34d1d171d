"""How an engine is timed: so many runs of one text in a row, by one of two clocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from cachelora_benchmarks.engines import Engine

__all__ = ["Clock", "Timer", "in_this_process"]

Clock = Literal["wall", "cpu"]
CLOCKS: dict[Clock, Callable[[], int]] = {"wall": time.perf_counter_ns, "cpu": time.process_time_ns}

# Takes a text and how often to run it; returns the nanoseconds of each run.
Timer = Callable[[str, int], list[int]]


def in_this_process(encode: Engine, clock: Clock) -> Timer:
    """Return what times an engine of this process."""
    nanoseconds = CLOCKS[clock]

    def times(text: str, runs: int) -> list[int]:
        found = []
        for _ in range(runs):
            start = nanoseconds()
            encode(text)
            found.append(nanoseconds() - start)
        return found

    return times
