"""Questions that fill a cache and share no answer with the test rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cachelora_training.hashing import sha256_of_file
from cachelora_training.questions import Row, folded
from cachelora_training.rows import local_file, problem_of_question, read_objects

__all__ = ["describe_stored", "read_unrelated"]

KEYS = ("query", "text", "question", "anchor")


def read_unrelated(sources: Sequence[str], rows: Iterable[Row]) -> list[str]:
    """Read questions from JSON Lines, each distinct one once, without those of ``rows``.

    The question is under ``query``, ``text``, ``question`` or ``anchor``. That it shares no answer with a row can't be
    checked; where it does, rates of wrong hits come out too high and never too low.

    Raises:
        RowsError: a file is missing, a row has no question, or nothing is left.
    """
    known = {folded(text) for row in rows for text in row.texts}
    questions: dict[str, str] = {}
    for row, _ in read_objects(sources, _problems):
        text = row[_key(row)].strip()
        if folded(text) not in known:
            questions.setdefault(folded(text), text)
    return list(questions.values())


def describe_stored(sources: Sequence[str]) -> list[dict[str, Any]]:
    """Return name and SHA-256 of each file."""
    return [{"name": "/".join(Path(name).parts[-2:]), "sha256": sha256_of_file(local_file(name))} for name in sources]


def _key(row: dict[str, Any]) -> str:
    return next((key for key in KEYS if key in row), KEYS[0])


def _problems(row: dict[str, Any], place: str) -> Iterator[str]:
    problem = problem_of_question(row, _key(row), place)
    if problem is not None:
        yield f"{problem} (under one of {', '.join(KEYS)})"
