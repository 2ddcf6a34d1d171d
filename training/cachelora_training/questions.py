"""When two questions are one: for leaks between training and test data."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Protocol

__all__ = ["Row", "folded", "leaks", "questions_of"]


class Row(Protocol):
    """Questions that were read from one place."""

    @property
    def texts(self) -> tuple[str, ...]:
        """The questions."""

    @property
    def source(self) -> str:
        """``file:line``."""


def folded(question: str) -> str:
    """Return the letters and digits of a question in folded case; equal results mean equal questions."""
    normal = unicodedata.normalize("NFKC", question).casefold()
    return "".join(character for character in normal if character.isalnum())


def questions_of(rows: Iterable[Row]) -> dict[str, str]:
    """Return every folded question and one ``file:line`` that has it."""
    found: dict[str, str] = {}
    for row in rows:
        for question in row.texts:
            found.setdefault(folded(question), row.source)
    return found


def leaks(train: Sequence[Row], test: Sequence[Row]) -> list[str]:
    """Return one line for each question of ``test`` that stands in ``train`` too."""
    known = questions_of(train)
    return [
        f"{source}: a question of this test row stands in the training data at {known[question]}"
        for question, source in questions_of(test).items()
        if question in known
    ]
