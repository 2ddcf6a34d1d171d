"""Which question gets which kind of near miss, fixed before anything is asked."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from cachelora_training.generate.queries import Query

__all__ = ["Sample", "plan_samples"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One triplet to be made: its number, its question, and the kind of near miss to ask for."""

    number: int
    query: Query
    kind: str


def plan_samples(queries: Sequence[Query], kinds: Sequence[str], count: int, *, seed: int) -> list[Sample]:
    """Return ``count`` samples: every question once before any is asked again, then with another kind.

    The plan depends on its arguments alone, so that a run that continues asks exactly what is missing. Kinds follow
    one another, so that each is asked for equally often.
    """
    order = list(range(len(queries)))
    random.Random(seed).shuffle(order)
    return [
        Sample(
            number,
            queries[order[number % len(order)]],
            # Each round starts one kind later: a question has every kind once before any kind twice.
            kinds[(number % len(order) + number // len(order)) % len(kinds)],
        )
        for number in range(count)
    ]
