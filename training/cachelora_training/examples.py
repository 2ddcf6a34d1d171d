"""What an adapter learns from: triplets, pairs with the same answer, and labelled pairs, mixed as they come."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cachelora.terminal import note

from cachelora_training.questions import folded
from cachelora_training.rows import (
    Triplet,
    problem_of_question,
    problems_of_labels,
    problems_of_triplet,
    read_objects,
    triplet_of,
)

__all__ = ["Examples", "Pair", "read_examples"]

# So many contradictory pairs are shown with their places.
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Pair:
    """Two questions with the same answer.

    Attributes:
        anchor, positive: The questions.
        domain: As a triplet has it.
        source: ``file:line`` that it was read from.
    """

    anchor: str
    positive: str
    domain: str = "general"
    source: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """Both questions."""
        return self.anchor, self.positive


@dataclass(frozen=True)
class Examples:
    """Everything to learn from.

    Attributes:
        triplets: Rows with a near miss of their own.
        pairs: Rows without; the other rows of a batch are their negatives.
        unused: Pairs labelled 0 of which neither question has a positive: a ranking has no place for them.
    """

    triplets: list[Triplet]
    pairs: list[Pair]
    unused: int = 0

    @property
    def texts(self) -> list[str]:
        """Every question."""
        return [text for row in self.rows for text in row.texts]

    @property
    def rows(self) -> list[Triplet | Pair]:
        """Triplets, then pairs."""
        return [*self.triplets, *self.pairs]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.triplets) + len(self.pairs)


def read_examples(sources: Sequence[str]) -> Examples:
    """Read rows of three forms, in any mixture.

    ``{anchor, positive, negative}`` is a triplet, ``{anchor, positive}`` a pair with the same answer, and
    ``{a, b, label}`` a labelled pair: 1 is a pair with the same answer; 0 becomes the near miss of every pair that has
    one of its questions. Two questions that are labelled both ways say nothing; all their rows are left out, and a
    line says where they are.

    Raises:
        RowsError: as :func:`cachelora_training.rows.read_triplets`.
    """
    triplets: list[Triplet] = []
    pairs: list[Pair] = []
    different: list[tuple[str, str, str]] = []
    for row, place in read_objects(sources, _problems):
        if "label" in row:
            if row["label"] == 1:
                pairs.append(_pair(row, row["a"], row["b"], place))
            else:
                different.append((row["a"].strip(), row["b"].strip(), place))
        elif "negative" in row:
            triplets.append(triplet_of(row, place))
        else:
            pairs.append(_pair(row, row["anchor"], row["positive"], place))
    labels: dict[frozenset[str], dict[int, str]] = {}
    for one, other, place, label in (
        *((pair.anchor, pair.positive, pair.source, 1) for pair in pairs),
        *((one, other, place, 0) for one, other, place in different),
    ):
        labels.setdefault(_both(one, other), {}).setdefault(label, place)
    contradictory = {both: places for both, places in labels.items() if len(places) == 2}
    if contradictory:
        first = "; ".join(f"{places[1]} and {places[0]}" for places in list(contradictory.values())[:SHOWN])
        rest = "; ..." if len(contradictory) > SHOWN else ""
        note(f"labelled both ways and left out, pairs: {len(contradictory)} ({first}{rest})")
    return _joined(
        triplets,
        [pair for pair in pairs if _both(pair.anchor, pair.positive) not in contradictory],
        [(one, other) for one, other, _ in different if _both(one, other) not in contradictory],
    )


def _both(one: str, other: str) -> frozenset[str]:
    return frozenset((folded(one), folded(other)))


def _joined(triplets: list[Triplet], pairs: list[Pair], different: list[tuple[str, str]]) -> Examples:
    """Give each pair the near misses of its questions."""
    partners: defaultdict[str, list[str]] = defaultdict(list)
    for one, other in different:
        partners[folded(one)].append(other)
        partners[folded(other)].append(one)
    used: set[str] = set()
    plain: list[Pair] = []
    for pair in pairs:
        found = False
        for anchor, positive in ((pair.anchor, pair.positive), (pair.positive, pair.anchor)):
            for negative in partners.get(folded(anchor), ()):
                if folded(negative) != folded(positive):
                    triplets.append(Triplet(anchor, positive, negative, pair.domain, "other", pair.source))
                    used |= {folded(anchor) + "\n" + folded(negative), folded(negative) + "\n" + folded(anchor)}
                    found = True
        if not found:
            plain.append(pair)
    unused = sum(folded(one) + "\n" + folded(other) not in used for one, other in different)
    return Examples(triplets, plain, unused)


def _pair(row: dict[str, Any], anchor: str, positive: str, place: str) -> Pair:
    return Pair(anchor.strip(), positive.strip(), row.get("domain") or "general", place)


def _problems(row: dict[str, Any], place: str) -> Iterator[str]:
    if "negative" in row:
        yield from problems_of_triplet(row, place)
        return
    labelled = "label" in row
    keys = ("a", "b") if labelled else ("anchor", "positive")
    found = [problem for key in keys if (problem := problem_of_question(row, key, place))]
    yield from found
    if not found and row[keys[0]].split() == row[keys[1]].split():
        yield f"{place}: {keys[1]}: is {keys[0]} itself; another question was expected"
    if labelled and row["label"] not in (0, 1):
        yield f"{place}: label: 0 or 1 was expected, found {row['label']!r}"
    yield from problems_of_labels(row, place)
