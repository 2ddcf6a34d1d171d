"""Triplets from JSON Lines files, on this machine or on the hub; every bad row is reported."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cachelora_training.errors import RowsError
from cachelora_training.hub import download_file, split_revision

__all__ = ["KINDS", "Triplet", "local_file", "read_triplets"]

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
    triplets: list[Triplet] = []
    problems: list[str] = []
    for source in sources:
        try:
            path = local_file(source)
        except RowsError as error:
            problems.append(str(error))
            continue
        before = len(triplets), len(problems)
        for number, line in enumerate(path.read_bytes().splitlines(), start=1):
            if not line.strip():
                continue
            place = f"{source}:{number}"
            found = list(_problems_of_line(line, place))
            problems.extend(found)
            if not found:
                triplets.append(_triplet(json.loads(line), place))
        if before == (len(triplets), len(problems)):
            problems.append(f"{source}: has no rows")
    if problems:
        raise RowsError(_summary(problems))
    return triplets


def _triplet(row: dict[str, str], place: str) -> Triplet:
    kind = row.get("kind") or "other"
    return Triplet(
        anchor=row["anchor"].strip(),
        positive=row["positive"].strip(),
        negative=row["negative"].strip(),
        domain=row.get("domain") or "general",
        kind=SYNONYMS_OF_KINDS.get(kind, kind),
        source=place,
    )


def _problems_of_line(line: bytes, place: str) -> Iterator[str]:
    try:
        row = json.loads(line)
    except UnicodeDecodeError as error:
        yield f"{place}: UTF-8 was expected, found byte {error.object[error.start]:#04x} at {error.start}"
        return
    except ValueError as error:
        yield f"{place}: a JSON object was expected: {error}"
        return
    if not isinstance(row, dict):
        yield f"{place}: a JSON object was expected, found {type(row).__name__}"
        return
    texts: dict[str, str] = {}
    for key in ("anchor", "positive", "negative"):
        value = row.get(key)
        if isinstance(value, str) and value.strip():
            texts[key] = " ".join(value.split())
        else:
            found = "nothing" if key not in row else json.dumps(value, ensure_ascii=False)
            yield f"{place}: {key}: a question was expected, found {found}"
    for key in ("positive", "negative"):
        if key in texts and texts.get("anchor") == texts[key]:
            yield f"{place}: {key}: is the anchor itself; another question was expected"
    if "positive" in texts and texts["positive"] == texts.get("negative"):
        yield f"{place}: negative: is the positive itself; a question with another answer was expected"
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
