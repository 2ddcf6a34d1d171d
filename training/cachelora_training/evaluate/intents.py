"""Questions labelled with their intent, made into pairs: one with the same intent, and a near miss."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["IntentRow", "partners"]

CHUNK = 512


@dataclass(frozen=True, slots=True)
class IntentRow:
    """A question and the intent that it has in common with others.

    Attributes:
        query: The question.
        intent: Equal for questions that one answer serves.
        domain: As a triplet has it.
        source: ``file:line`` that it was read from.
    """

    query: str
    intent: str
    domain: str = "general"
    source: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """The question."""
        return (self.query,)


def partners(rows: Sequence[IntentRow], *, seed: int) -> list[tuple[int, int | None, int | None]]:
    """Return for each question the places of one with the same intent and of a near miss.

    The one with the same intent is drawn with the seed. The near miss is the question of another intent in the same
    domain that is closest by TF-IDF of words, so no encoder under test had a hand in choosing it. None where there
    is no such question.
    """
    generator = np.random.default_rng(seed)
    by_intent: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        by_intent[row.domain, row.intent].append(place)
    positives: list[int | None] = []
    for row in rows:
        others = [other for other in by_intent[row.domain, row.intent] if rows[other].query != row.query]
        positives.append(others[int(generator.integers(len(others)))] if others else None)
    negatives = _near_misses(rows)
    return [(place, positives[place], negatives[place]) for place in range(len(rows))]


def _near_misses(rows: Sequence[IntentRow]) -> list[int | None]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    found: list[int | None] = [None] * len(rows)
    by_domain: defaultdict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        by_domain[row.domain].append(place)
    for places in by_domain.values():
        intents = np.array([rows[place].intent for place in places])
        queries = np.array([rows[place].query for place in places])
        weights = TfidfVectorizer(token_pattern=r"(?u)\w+").fit_transform([*queries, "cachelora"])[:-1]
        for start in range(0, len(places), CHUNK):
            part = slice(start, start + CHUNK)
            closeness = (weights[part] @ weights.T).toarray()
            # A question that stands under two intents is no near miss of itself.
            closeness[(intents[part, None] == intents) | (queries[part, None] == queries)] = -1
            best = closeness.argmax(axis=1)
            for offset, (place, other) in enumerate(zip(places[part], best, strict=True)):
                if closeness[offset, other] >= 0:
                    found[place] = places[int(other)]
    return found
