"""Raw questions: one per line, as text or as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cachelora_training.errors import RowsError
from cachelora_training.questions import folded
from cachelora_training.rows import local_file

__all__ = ["Query", "read_queries"]

KEYS = ("query", "question", "anchor", "text")
MOST_PROBLEMS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Query:
    """A question and the ``file:line`` that it was read from."""

    text: str
    source: str


def read_queries(source: str) -> list[Query]:
    """Read questions; equal ones are kept once.

    A file that ends in .jsonl or .json has one object a line with the question under ``query``, ``question``,
    ``anchor`` or ``text``; any other file has one question a line.

    Raises:
        RowsError: the file is missing, empty, or has bad rows, all of which are listed.
    """
    path = local_file(source)
    name = f"{path.parent.name}/{path.name}" if not source.startswith("hf://") else source
    as_json = Path(source.partition("@")[0]).suffix in (".jsonl", ".json")
    queries: dict[str, Query] = {}
    problems: list[str] = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            text = _question(line) if as_json else line.decode("utf-8")
        except ValueError as error:
            problems.append(f"{source}:{number}: {error}")
            continue
        text = " ".join(text.split())
        key = folded(text)
        if key:
            queries.setdefault(key, Query(text, f"{name}:{number}"))
    if problems:
        rest = len(problems) - MOST_PROBLEMS_SHOWN
        shown = problems[:MOST_PROBLEMS_SHOWN] + ([f"... and {rest} more"] if rest > 0 else [])
        raise RowsError(f"{len(problems)} problems in the questions:\n" + "\n".join(shown))
    if not queries:
        raise RowsError(f"{source}: has no questions")
    return list(queries.values())


def _question(line: bytes) -> str:
    row = json.loads(line)
    found = [row[key] for key in KEYS if isinstance(row, dict) and isinstance(row.get(key), str)]
    if not found:
        raise ValueError(f"an object with a question under one of {', '.join(KEYS)} was expected")
    return str(found[0])
