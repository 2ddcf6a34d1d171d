"""Triplets from JSON Lines files, on this machine or on the hub; every bad row is reported."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cachelora_training.errors import RowsError
from cachelora_training.hub import download_file, split_revision

__all__ = [
    "KINDS",
    "Triplet",
    "local_file",
    "problem_of_question",
    "problems_of_labels",
    "problems_of_triplet",
    "read_objects",
    "read_triplets",
    "triplet_of",
]

# How a near miss differs from the anchor: one vocabulary for data, evaluation and report.
KINDS = (
    "entity",
    "number",
    "unit",
    "negation",
    "direction",
    "time",
    "population",
    "place",
    "version",
    "part_whole",
    "intent",
    "condition",
    "other",
)
SYNONYMS_OF_KINDS = {"jurisdiction": "place"}

HUB_PREFIX = "hf://datasets/"
MOST_PROBLEMS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Triplet:
    """A question, one with the same answer, and a near miss.

    Attributes:
        anchor: The question.
        positive: A question that the same answer serves.
        negative: A question close in words or topic that needs another answer.
        domain: For instance ``medical``.
        kind: How the negative differs; one of KINDS.
        source: ``file:line`` that it was read from.
    """

    anchor: str
    positive: str
    negative: str
    domain: str = "general"
    kind: str = "other"
    source: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """The three questions."""
        return self.anchor, self.positive, self.negative


def local_file(source: str) -> Path:
    """Return the local file of ``source``: a path, or ``hf://datasets/owner/name/path[@revision]``.

    Raises:
        RowsError: there is no such file, or the address is incomplete.
        HubError: the hub does not have it or can't be reached.
    """
    if source.startswith(HUB_PREFIX):
        place, revision = split_revision(source.removeprefix(HUB_PREFIX))
        parts = place.split("/", 2)
        if len(parts) < 3 or not all(parts):
            raise RowsError(f"{source}: {HUB_PREFIX}owner/name/path was expected")
        return download_file("/".join(parts[:2]), parts[2], kind="dataset", revision=revision)
    path = Path(source)
    if not path.is_file():
        raise RowsError(f"{source}: no such file")
    return path


def read_triplets(sources: Sequence[str]) -> list[Triplet]:
    """Read triplets from JSON Lines files, in order.

    Required keys are ``anchor``, ``positive`` and ``negative``; ``domain`` and ``kind`` are optional, other
    keys are ignored. Empty lines are skipped.

    Raises:
        RowsError: a file is missing, or any row of any file is bad. All files are read first, so that one
            message lists everything there is to repair as ``file:line: key: what was expected``.
    """
    return [triplet_of(row, place) for row, place in read_objects(sources, problems_of_triplet)]


def read_objects(
    sources: Sequence[str], problems_of: Callable[[dict[str, Any], str], Iterable[str]]
) -> list[tuple[dict[str, Any], str]]:
    """Read JSON objects, one a line, with the ``file:line`` of each; empty lines are skipped.

    Args:
        sources: Files, see :func:`local_file`.
        problems_of: What is wrong with an object at a place, one message each.

    Raises:
        RowsError: with every problem of every file.
    """
    rows: list[tuple[dict[str, Any], str]] = []
    problems: list[str] = []
    for source in sources:
        try:
            path = local_file(source)
        except RowsError as error:
            problems.append(str(error))
            continue
        before = len(rows), len(problems)
        for number, line in enumerate(path.read_bytes().splitlines(), start=1):
            if not line.strip():
                continue
            place = f"{source}:{number}"
            row = _object_of_line(line, place)
            found = [row] if isinstance(row, str) else list(problems_of(row, place))
            problems.extend(found)
            if not found and not isinstance(row, str):
                rows.append((row, place))
        if before == (len(rows), len(problems)):
            problems.append(f"{source}: has no rows")
    if problems:
        raise RowsError(_summary(problems))
    return rows


def triplet_of(row: dict[str, Any], place: str) -> Triplet:
    """Return the triplet in an object that has no problems."""
    kind = row.get("kind") or "other"
    return Triplet(
        anchor=row["anchor"].strip(),
        positive=row["positive"].strip(),
        negative=row["negative"].strip(),
        domain=row.get("domain") or "general",
        kind=SYNONYMS_OF_KINDS.get(kind, kind),
        source=place,
    )


def _object_of_line(line: bytes, place: str) -> dict[str, Any] | str:
    """Return the object in a line, or what is wrong with it."""
    try:
        row = json.loads(line)
    except UnicodeDecodeError as error:
        return f"{place}: UTF-8 was expected, found byte {error.object[error.start]:#04x} at {error.start}"
    except ValueError as error:
        return f"{place}: a JSON object was expected: {error}"
    return row if isinstance(row, dict) else f"{place}: a JSON object was expected, found {type(row).__name__}"


def problems_of_triplet(row: dict[str, Any], place: str) -> Iterator[str]:
    """Yield what is wrong with an object that should be a triplet."""
    texts: dict[str, str] = {}
    for key in ("anchor", "positive", "negative"):
        problem = problem_of_question(row, key, place)
        if problem is None:
            texts[key] = " ".join(row[key].split())
        else:
            yield problem
    for key in ("positive", "negative"):
        if key in texts and texts.get("anchor") == texts[key]:
            yield f"{place}: {key}: is the anchor itself; another question was expected"
    if "positive" in texts and texts["positive"] == texts.get("negative"):
        yield f"{place}: negative: is the positive itself; a question with another answer was expected"
    yield from problems_of_labels(row, place)


def problem_of_question(row: dict[str, Any], key: str, place: str) -> str | None:
    """Return what is wrong with the question under ``key``, or None."""
    value = row.get(key)
    if isinstance(value, str) and value.strip():
        return None
    found = "nothing" if key not in row else json.dumps(value, ensure_ascii=False)
    return f"{place}: {key}: a question was expected, found {found}"


def problems_of_labels(row: dict[str, Any], place: str) -> Iterator[str]:
    """Yield what is wrong with the optional domain and kind."""
    domain = row.get("domain")
    if domain is not None and not isinstance(domain, str):
        yield f"{place}: domain: a name was expected, found {json.dumps(domain)}"
    kind = row.get("kind")
    if kind is not None and (not isinstance(kind, str) or SYNONYMS_OF_KINDS.get(kind, kind) not in ("", *KINDS)):
        yield f"{place}: kind: one of {', '.join(KINDS)} was expected, found {json.dumps(kind)}"


def _summary(problems: list[str]) -> str:
    shown = problems[:MOST_PROBLEMS_SHOWN]
    rest = len(problems) - len(shown)
    if rest:
        shown.append(f"... and {rest} more")
    return f"{len(problems)} problem{'s' if len(problems) > 1 else ''} in the data:\n" + "\n".join(shown)
