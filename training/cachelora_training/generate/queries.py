"""Raw questions: one per line, as text or as JSON, or a column of a table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cachelora_training.errors import RowsError
from cachelora_training.questions import folded
from cachelora_training.rows import HUB_PREFIX, local_file

__all__ = ["Query", "read_queries"]

KEYS = ("query", "question", "anchor", "text")
JSON_LINES = (".jsonl", ".json", ".ndjson")
SEPARATORS = {".csv": ",", ".tsv": "\t"}
MOST_PROBLEMS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Query:
    """A question and the ``file:line`` that it was read from."""

    text: str
    source: str


def read_queries(source: str) -> list[Query]:
    """Read questions in UTF-8; equal ones are kept once.

    The name's end says what the file holds: .jsonl, .ndjson and .json one object a line with the question under
    ``query``, ``question``, ``anchor`` or ``text``; .csv and .tsv a table whose first row names a column so; anything
    else one question a line.

    Raises:
        RowsError: the file is missing, empty, or has bad rows, all of which are listed.
    """
    path = local_file(source)
    on_hub = source.startswith(HUB_PREFIX)
    name = source if on_hub else "/".join(path.parts[-2:])
    suffix = Path(source.partition("@")[0] if on_hub else source).suffix.lower()
    # Spreadsheets put a mark before the first letter.
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    found = _of_table(content, SEPARATORS[suffix]) if suffix in SEPARATORS else _of_lines(content, suffix in JSON_LINES)
    queries: dict[str, Query] = {}
    problems: list[str] = []
    for number, text in found:
        if isinstance(text, ValueError):
            problems.append(f"{source}:{number}: {text}")
            continue
        text = " ".join(text.split())
        key = folded(text)
        if key:
            queries.setdefault(key, Query(text, f"{name}:{number}"))
    if problems:
        rest = len(problems) - MOST_PROBLEMS_SHOWN
        shown = problems[:MOST_PROBLEMS_SHOWN] + ([f"... and {rest} more"] if rest > 0 else [])
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise RowsError(f"{count} in the questions:\n" + "\n".join(shown))
    if not queries:
        raise RowsError(f"{source}: has no questions")
    return list(queries.values())


def _of_lines(content: bytes, as_json: bool) -> Iterator[tuple[int, str | ValueError]]:
    """Yield each line's number and its question, or what is wrong with it."""
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            yield number, _question(line) if as_json else line.decode("utf-8")
        except ValueError as error:
            yield number, error


def _of_table(content: bytes, separator: str) -> Iterator[tuple[int, str | ValueError]]:
    """Yield the same of a table; a row may take several lines, of which the last is named."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        yield content[: error.start].count(b"\n") + 1, error
        return
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    names = [name.strip().casefold() for name in next(rows, [])]
    column = next((names.index(key) for key in KEYS if key in names), None)
    if column is None:
        yield 1, ValueError(f"a column named one of {', '.join(KEYS)} was expected, found {', '.join(names) or 'none'}")
        return
    for row in rows:
        if len(row) > column:
            yield rows.line_num, row[column]


def _question(line: bytes) -> str:
    row = json.loads(line)
    found = [row[key] for key in KEYS if isinstance(row, dict) and isinstance(row.get(key), str)]
    if not found:
        raise ValueError(f"an object with a question under one of {', '.join(KEYS)} was expected")
    return str(found[0])
