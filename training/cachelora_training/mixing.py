"""How often each domain is seen when several are trained together."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from cachelora_training.examples import Examples, Pair
from cachelora_training.rows import Triplet

__all__ = ["balanced"]

Row = TypeVar("Row", Triplet, Pair)


def balanced(examples: Examples, balance: float, seed: int) -> Examples:
    """Return the examples with rows of small domains repeated; the same seed gives the same rows.

    A domain with n rows of the largest domain's m is seen as if it had n * (m / n) ** balance: 0 leaves the mix as it
    came, 1 shows every domain equally often, and between them the shares are those of temperature sampling, as is done
    for languages of different size (Arivazhagan et al. 2019, arXiv:1907.05019). No row is left out.

    Args:
        examples: Rows of any number of domains.
        balance: Between 0 and 1.
        seed: Of the rows that are drawn for the last, incomplete repetition of a domain.
    """
    sizes = Counter(row.domain for row in examples.rows)
    if balance == 0 or len(sizes) < 2:
        return examples
    largest = max(sizes.values())
    times = {domain: (largest / size) ** balance for domain, size in sizes.items()}
    dice = random.Random(seed)
    return replace(
        examples,
        triplets=_repeated(examples.triplets, times, dice),
        pairs=_repeated(examples.pairs, times, dice),
    )


def _repeated(rows: Sequence[Row], times: dict[str, float], dice: random.Random) -> list[Row]:
    """Return each row as often as its domain says; what is left after whole repetitions is drawn."""
    found: list[Row] = []
    for domain in sorted(times):
        own = [row for row in rows if row.domain == domain]
        wanted = round(len(own) * times[domain])
        found += own * (wanted // len(own)) + dice.sample(own, wanted % len(own)) if own else []
    return found
