"""Test rows of any form as pairs of questions, labelled 1 where one answer serves both and 0 where it must not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cachelora_training.errors import RowsError
from cachelora_training.evaluate.intents import IntentRow, partners
from cachelora_training.evaluate.overlap import best_threshold, word_overlap
from cachelora_training.measures import Encode, Floats
from cachelora_training.questions import folded
from cachelora_training.rows import (
    SYNONYMS_OF_KINDS,
    problem_of_question,
    problems_of_labels,
    problems_of_triplet,
    read_objects,
    triplet_of,
)

__all__ = ["LENGTHS", "LONGEST", "PairedRow", "Pairs", "cosines", "read_pairs"]

# Upper ends of the groups of length, in words of the anchor.
LENGTHS = {"1-8": 8, "9-16": 16, "17-32": 32}
LONGEST = "33+"


@dataclass(frozen=True, slots=True)
class PairedRow:
    """Where a pair came from; what `provenance.describe_data` counts."""

    texts: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Pairs:
    """Pairs of questions, column by column, each (n,).

    Attributes:
        first, second: The questions; ``first`` is the anchor.
        label: 1 where one answer serves both, else 0.
        row: The number of the row that the pair came from; a triplet gives two pairs.
        anchor: The number of ``first`` among the distinct questions; the unit of resampling.
        partner: The number of ``second`` among them.
        domain, kind, length, source: As a triplet has them; the length is that of the anchor, one of LENGTHS or 33+.
        overlap: The share of words in common, 0 to 1.
        solved: Whether counting words in common is enough to get the row right, see :func:`_solved`.
        rows: Every row that was read, for its provenance.
        counts: ``triplets``, ``labelled_pairs``, ``intent_rows`` and ``unlabelled``: how many rows of each form; and,
            where a review was given, ``set_aside``: how many pairs it took out.
        triplet_rows: Which rows are triplets, by their number.
    """

    first: list[str]
    second: list[str]
    label: NDArray[np.int8]
    row: NDArray[np.int64]
    anchor: NDArray[np.int64]
    partner: NDArray[np.int64]
    domain: NDArray[np.str_]
    kind: NDArray[np.str_]
    length: NDArray[np.str_]
    source: list[str]
    overlap: NDArray[np.float64]
    solved: NDArray[np.bool_]
    rows: list[PairedRow]
    counts: dict[str, int]
    triplet_rows: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.label)


@dataclass
class _Columns:
    """Pairs while they are read."""

    first: list[str] = field(default_factory=list)
    second: list[str] = field(default_factory=list)
    label: list[int] = field(default_factory=list)
    row: list[int] = field(default_factory=list)
    domain: list[str] = field(default_factory=list)
    kind: list[str] = field(default_factory=list)
    source: list[str] = field(default_factory=list)
    rows: int = 0
    triplet_rows: list[int] = field(default_factory=list)

    def add(self, anchor: str, partners: dict[int, str | None], domain: str, kind: str, source: str) -> None:
        """Add one row: an anchor and its partner by label."""
        for label, partner in partners.items():
            if partner is None:
                continue
            self.first.append(anchor)
            self.second.append(partner)
            self.label.append(label)
            self.row.append(self.rows)
            self.domain.append(domain)
            self.kind.append(kind)
            self.source.append(source)
        if all(partners.get(label) is not None for label in (0, 1)):
            self.triplet_rows.append(self.rows)
        self.rows += 1

    def set_aside(self, judged: Mapping[frozenset[str], bool]) -> int:
        """Take out the pairs of which a reviewer said the contrary of their label; return how many there were."""
        said = [judged.get(frozenset(pair)) for pair in zip(self.first, self.second, strict=True)]
        wrong = [answer is not None and answer != bool(label) for answer, label in zip(said, self.label, strict=True)]
        emptied = {row for row, out in zip(self.row, wrong, strict=True) if out}
        kept = [not out for out in wrong]
        for texts in (self.first, self.second, self.domain, self.kind, self.source):
            texts[:] = compress(texts, kept)
        for numbers in (self.label, self.row):
            numbers[:] = compress(numbers, kept)
        self.triplet_rows = [row for row in self.triplet_rows if row not in emptied]
        return sum(wrong)


def read_pairs(sources: Sequence[str], *, seed: int = 0, judged: Mapping[frozenset[str], bool] | None = None) -> Pairs:
    """Read test rows of four forms, in any mixture.

    ``{anchor, positive, negative}`` gives a pair of each label, ``{anchor, positive}`` one with label 1, ``{a, b,
    label}`` one with its label (null: unclear, left out), and ``{query, intent}`` what
    :func:`cachelora_training.evaluate.intents.partners` finds among all of them.

    Args:
        sources: Files.
        seed: Of the partners of intent rows.
        judged: What a reviewer said of two questions (:mod:`cachelora_training.evaluate.review`); pairs whose label
            says the contrary are set aside.

    Raises:
        RowsError: as :func:`cachelora_training.rows.read_triplets`; or nothing is left to compare.
    """
    columns = _Columns()
    counts: Counter[str] = Counter(triplets=0, labelled_pairs=0, intent_rows=0, unlabelled=0)
    intents: list[IntentRow] = []
    rows: list[PairedRow] = []
    for row, place in read_objects(sources, _problems):
        rows.append(PairedRow(tuple(row[key] for key in _texts_of(row)), place))
        domain = row.get("domain") or "general"
        kind = row.get("kind") or "other"
        kind = SYNONYMS_OF_KINDS.get(kind, kind)
        if "intent" in row:
            counts["intent_rows"] += 1
            intents.append(IntentRow(row["query"].strip(), str(row["intent"]), domain, place))
        elif "a" in row:
            if row["label"] is None:
                counts["unlabelled"] += 1
                continue
            counts["labelled_pairs"] += 1
            columns.add(row["a"].strip(), {int(row["label"]): row["b"].strip()}, domain, kind, place)
        elif "negative" in row:
            counts["triplets"] += 1
            triplet = triplet_of(row, place)
            columns.add(triplet.anchor, {1: triplet.positive, 0: triplet.negative}, domain, kind, place)
        else:
            counts["labelled_pairs"] += 1
            columns.add(row["anchor"].strip(), {1: row["positive"].strip()}, domain, kind, place)
    for anchor, positive, negative in partners(intents, seed=seed) if intents else ():
        texts = {1: positive, 0: negative}
        found = {label: None if other is None else intents[other].query for label, other in texts.items()}
        columns.add(intents[anchor].query, found, intents[anchor].domain, "intent", intents[anchor].source)
    if judged is not None:
        counts["set_aside"] = columns.set_aside(judged)
    if not columns.label:
        raise RowsError(f"{', '.join(sources)}: no two questions to compare; a label, or two intents, are needed")
    return _finished(columns, rows, dict(counts))


def _finished(columns: _Columns, rows: list[PairedRow], counts: dict[str, int]) -> Pairs:
    number: dict[str, int] = {}
    anchors, partners = (
        np.array([number.setdefault(folded(text) or text, len(number)) for text in column], dtype=np.int64)
        for column in (columns.first, columns.second)
    )
    label = np.array(columns.label, dtype=np.int8)
    row = np.array(columns.row, dtype=np.int64)
    overlap = word_overlap(columns.first, columns.second)
    triplet_rows = np.array(columns.triplet_rows, dtype=np.int64)
    return Pairs(
        first=columns.first,
        second=columns.second,
        label=label,
        row=row,
        anchor=anchors,
        partner=partners,
        domain=np.array(columns.domain),
        kind=np.array(columns.kind),
        length=np.array([_length_of(text) for text in columns.first]),
        source=columns.source,
        overlap=overlap,
        solved=_solved(row, label, overlap, triplet_rows),
        rows=rows,
        counts=counts,
        triplet_rows=triplet_rows,
    )


def _solved(
    row: NDArray[np.int64], label: NDArray[np.int8], overlap: NDArray[np.float64], triplet_rows: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return for each pair whether words in common alone get its row right.

    A row with both a positive and a negative: the positive has more in common with the anchor. A lone pair: it is on
    the right side of the threshold that is best for the lone pairs at hand, which flatters word overlap a little.
    """
    both = np.isin(row, triplet_rows)
    solved = np.zeros(len(row), dtype=bool)
    positive, negative = both & (label == 1), both & (label == 0)
    # Each such row has exactly one pair of each label, in the order of rows.
    solved[positive] = solved[negative] = overlap[positive] > overlap[negative]
    lone = ~both
    if lone.any():
        threshold = best_threshold(overlap[lone], label[lone])
        if np.isfinite(threshold):
            solved[lone] = (overlap[lone] >= threshold) == (label[lone] == 1)
    return solved


def cosines(encode: Encode, pairs: Pairs) -> Floats:
    """Return the cosine of each pair, float32 (n,); every distinct text is encoded once.

    Args:
        encode: From n texts to (n, dimension) vectors of any length.
        pairs: What to compare.
    """
    texts = list(dict.fromkeys([*pairs.first, *pairs.second]))
    place = {text: index for index, text in enumerate(texts)}
    vectors = np.asarray(encode(texts), dtype=np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    first, second = (vectors[[place[text] for text in column]] for column in (pairs.first, pairs.second))
    found: Floats = np.einsum("ij,ij->i", first, second).astype(np.float32)
    return found


def _length_of(text: str) -> str:
    count = len(text.split())
    return next((name for name, most in LENGTHS.items() if count <= most), LONGEST)


def _texts_of(row: dict[str, Any]) -> tuple[str, ...]:
    if "intent" in row:
        return ("query",)
    if "a" in row:
        return "a", "b"
    return ("anchor", "positive", "negative") if "negative" in row else ("anchor", "positive")


def _problems(row: dict[str, Any], place: str) -> Iterator[str]:
    if "negative" in row:
        yield from problems_of_triplet(row, place)
        return
    keys = _texts_of(row)
    found = [problem for key in keys if (problem := problem_of_question(row, key, place))]
    yield from found
    if not found and len(keys) == 2 and row[keys[0]].split() == row[keys[1]].split():
        yield f"{place}: {keys[1]}: is {keys[0]} itself; another question was expected"
    if "a" in row and ("label" not in row or row["label"] not in (0, 1, None)):
        yield f"{place}: label: 0, 1 or null was expected, found {row.get('label', 'nothing')!r}"
    if "intent" in row and not isinstance(row["intent"], str | int):
        yield f"{place}: intent: a name was expected, found {row['intent']!r}"
    yield from problems_of_labels(row, place)
