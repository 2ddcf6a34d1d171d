"""Which questions one answer serves, from rows of any form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cachelora_training.errors import RowsError
from cachelora_training.questions import folded
from cachelora_training.rows import (
    problem_of_question,
    problems_of_labels,
    problems_of_triplet,
    read_objects,
)

__all__ = ["Answer", "read_answers"]


@dataclass(frozen=True)
class Answer:
    """Questions that one answer serves.

    Attributes:
        questions: Distinct wordings, at least one.
        domain: That of the first row that has one of them.
        source: ``file:line`` of that row.
    """

    questions: tuple[str, ...]
    domain: str = "general"
    source: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """The questions."""
        return self.questions


def read_answers(sources: Sequence[str]) -> list[Answer]:
    """Read triplets, labelled pairs and intent rows, in any mixture, and join what has the same answer.

    An anchor and its positive have one answer, as have two questions of a pair labelled 1 and all questions of one
    intent in one domain; joined questions join others in turn. Any two questions that are not joined count as having
    different answers, near misses among them.

    Raises:
        RowsError: a row is bad, or no two questions have the same answer.
    """
    groups = _Groups()
    of_intent: dict[tuple[str, str], str] = {}
    for row, place in read_objects(sources, _problems):
        domain = row.get("domain") or "general"
        if "intent" in row:
            first = of_intent.setdefault((domain, str(row["intent"])), row["query"])
            groups.add(row["query"], domain, place)
            groups.join(first, row["query"])
            continue
        one, other = ("a", "b") if "label" in row else ("anchor", "positive")
        for key in (one, other, "negative"):
            if key in row:
                groups.add(row[key], domain, place)
        if row.get("label", 1) == 1:
            groups.join(row[one], row[other])
    answers = groups.answers()
    if all(len(answer.questions) == 1 for answer in answers):
        raise RowsError(f"{', '.join(sources)}: no two questions have the same answer, so no cache could ever be right")
    return answers


class _Groups:
    """Disjoint sets of folded questions."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}
        self._row: dict[str, tuple[str, str, str]] = {}

    def add(self, question: str, domain: str, place: str) -> None:
        key = folded(question)
        self._parent.setdefault(key, key)
        self._row.setdefault(key, (question.strip(), domain, place))

    def join(self, one: str, other: str) -> None:
        first, second = self._root(folded(one)), self._root(folded(other))
        self._parent[second] = first

    def answers(self) -> list[Answer]:
        members: dict[str, list[str]] = {}
        for key in self._parent:
            members.setdefault(self._root(key), []).append(key)
        return [Answer(tuple(self._row[key][0] for key in keys), *self._row[keys[0]][1:]) for keys in members.values()]

    def _root(self, key: str) -> str:
        while self._parent[key] != key:
            self._parent[key] = self._parent[self._parent[key]]
            key = self._parent[key]
        return key


def _problems(row: dict[str, Any], place: str) -> Iterator[str]:
    if "negative" in row:
        yield from problems_of_triplet(row, place)
        return
    keys = ("query",) if "intent" in row else ("a", "b") if "label" in row else ("anchor", "positive")
    yield from (problem for key in keys if (problem := problem_of_question(row, key, place)))
    if row.get("label", 1) not in (0, 1, None):
        yield f"{place}: label: 0, 1 or null was expected, found {row['label']!r}"
    if "intent" in row and not isinstance(row["intent"], str | int):
        yield f"{place}: intent: a name was expected, found {row['intent']!r}"
    yield from problems_of_labels(row, place)
