"""Two questions and whether one answer serves both: the rows that a threshold is judged by."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cachelora_training.questions import folded
from cachelora_training.rows import (
    problem_of_question,
    problems_of_labels,
    problems_of_triplet,
    read_objects,
    triplet_of,
)

__all__ = ["Compared", "independent", "read_compared"]


@dataclass(frozen=True, slots=True)
class Compared:
    """Two questions.

    Attributes:
        anchor, other: The questions.
        same: Whether one answer serves both.
        domain: For instance ``medical``.
        source: ``file:line`` that they were read from.
    """

    anchor: str
    other: str
    same: bool
    domain: str = "general"
    source: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """Both questions."""
        return self.anchor, self.other


def read_compared(sources: Sequence[str]) -> list[Compared]:
    """Read triplets and labelled pairs, in any mixture; a triplet gives two comparisons.

    Raises:
        RowsError: as :func:`cachelora_training.rows.read_triplets`.
    """
    found: list[Compared] = []
    for row, place in read_objects(sources, _problems):
        if "label" in row:
            domain = row.get("domain") or "general"
            found.append(Compared(row["a"].strip(), row["b"].strip(), row["label"] == 1, domain, place))
            continue
        triplet = triplet_of(row, place)
        found.append(Compared(triplet.anchor, triplet.positive, True, triplet.domain, place))
        found.append(Compared(triplet.anchor, triplet.negative, False, triplet.domain, place))
    return found


def independent(rows: Sequence[Compared], seed: int) -> list[int]:
    """Return the places of one row for each distinct anchor, drawn with ``seed``, in order.

    Rows that share an anchor rise and fall together. An exact binomial bound counts each of them as a
    draw of its own, and would claim more than they show.
    """
    by_anchor: dict[tuple[str, str], list[int]] = {}
    for place, row in enumerate(rows):
        by_anchor.setdefault((row.domain, folded(row.anchor)), []).append(place)
    generator = random.Random(seed)
    return sorted(generator.choice(places) for places in by_anchor.values())


def _problems(row: dict[str, Any], place: str) -> Iterator[str]:
    if "label" not in row:
        yield from problems_of_triplet(row, place)
        return
    yield from (problem for key in ("a", "b") if (problem := problem_of_question(row, key, place)))
    if row["label"] not in (0, 1):
        yield f"{place}: label: 0 or 1 was expected, found {row['label']!r}"
    yield from problems_of_labels(row, place)
