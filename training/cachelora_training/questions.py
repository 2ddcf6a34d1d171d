"""When two questions are one: for leaks between training and test data."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from cachelora_training.rows import Triplet

__all__ = ["folded", "leaks", "questions_of"]


def folded(question: str) -> str:
    """Return the letters and digits of a question in folded case; equal results mean equal questions."""
    normal = unicodedata.normalize("NFKC", question).casefold()
    return "".join(character for character in normal if character.isalnum())


def questions_of(triplets: Iterable[Triplet]) -> dict[str, str]:
    """Return every folded question and one ``file:line`` that has it."""
    found: dict[str, str] = {}
    for row in triplets:
        for question in (row.anchor, row.positive, row.negative):
            found.setdefault(folded(question), row.source)
    return found


def leaks(train: Sequence[Triplet], test: Sequence[Triplet]) -> list[str]:
    """Return one line for each question of ``test`` that stands in ``train`` too."""
    known = questions_of(train)
    return [
        f"{source}: a question of this test row stands in the training data at {known[question]}"
        for question, source in questions_of(test).items()
        if question in known
    ]
