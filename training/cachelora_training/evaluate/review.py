"""A second look at test labels: the pairs that decide a strict bound, read by a person who does not see the models.

Hits at 1 % false hits hang on the hundredth of the near misses that are most alike, and that is where wrong labels
gather: two questions that say the same are alike to every encoder. One mislabelled pair in a hundred is enough to put
the threshold where nothing hits, whatever the encoder. So these pairs are written to a file, somebody says of each
whether one answer serves both, and measuring sets those aside whose label was wrong.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cachelora.errors import UsageError
from cachelora.terminal import note

from cachelora_training.directories import write_text_atomically
from cachelora_training.evaluate.models import models_of
from cachelora_training.evaluate.pairs import Pairs, cosines, read_pairs
from cachelora_training.hashing import sha256_of_file
from cachelora_training.rows import local_file, problem_of_question, read_objects

__all__ = ["ANSWER", "Judgements", "describe_reviews", "read_review", "write_review"]

ANSWER = "same_answer"

# What was said of two questions, in either order.
Judgements = Mapping[frozenset[str], bool]


def read_review(sources: Sequence[str]) -> dict[frozenset[str], bool]:
    """Return what reviewers said: for two questions, in either order, whether one answer serves both.

    Args:
        sources: JSON Lines files of ``{a, b, same_answer}``; null is not answered yet.

    Raises:
        RowsError: a row can't be read, or two rows contradict each other.
    """
    said: dict[frozenset[str], bool] = {}
    places: dict[frozenset[str], str] = {}

    def problems(row: dict[str, Any], place: str) -> Iterator[str]:
        found = [problem for key in ("a", "b") if (problem := problem_of_question(row, key, place))]
        yield from found
        answer = row.get(ANSWER, "nothing")
        if answer is not None and not isinstance(answer, bool):
            yield f"{place}: {ANSWER}: true, false or null was expected, found {answer!r}"
        elif not found and answer is not None:
            key = _key(row["a"], row["b"])
            if said.setdefault(key, answer) != answer:
                yield f"{place}: {ANSWER}: {places[key]} says the contrary of the same two questions"
            places.setdefault(key, place)

    read_objects(sources, problems)
    return said


def describe_reviews(sources: Sequence[str]) -> list[dict[str, Any]]:
    """Return name, SHA-256 and number of answers of each review, as `provenance.describe_data` does for data."""
    return [
        {
            "name": "/".join(Path(source).parts[-2:]),
            "sha256": sha256_of_file(local_file(source)),
            "answers": len(read_review([source])),
        }
        for source in sources
    ]


def write_review(
    output: Path,
    base_name: str | None,
    adapters: Sequence[str],
    test_data: Sequence[str],
    *,
    bundles: Sequence[Path] = (),
    share: float = 0.03,
    seed: int = 0,
) -> dict[str, Any]:
    """Write the near misses that are most alike to any of the models, for a person to judge.

    Of each domain it is the ``share`` most alike to one model, joined over all models, in an order that is drawn.
    Neither cosine nor model is written, so that nobody judges in favour of one. What the file already holds stays.

    Returns:
        ``pairs`` (in the file), ``new``, ``answered`` and ``output``.

    Raises:
        RowsError, UsageError, BaseModelError, AdapterError, HubError: what is named can't be had or used.
    """
    if not 0 < share <= 1:
        raise UsageError(f"--share is {share}, a share above 0 and up to 1 was expected")
    kept = [row for row, _ in read_objects([str(output)], lambda row, place: ())] if output.is_file() else []
    said = read_review([str(output)]) if kept else {}
    known = {_key(row["a"], row["b"]) for row in kept}
    pairs = read_pairs(test_data, seed=seed)
    chosen: set[int] = set()
    for model in models_of(base_name, adapters, bundles):
        note(f"encoding {len(pairs)} pairs with {model.role} {model.name}")
        with model.opened() as (encode, _):
            chosen |= most_alike(pairs, cosines(encode, pairs), share)
    # Equal questions in several rows are judged once.
    fresh = {_key(pairs.first[place], pairs.second[place]): place for place in sorted(chosen)}
    new = [place for key, place in fresh.items() if key not in known]
    random.Random(seed).shuffle(new)
    rows = [
        *kept,
        *(
            {
                "a": pairs.first[place],
                "b": pairs.second[place],
                ANSWER: None,
                "domain": str(pairs.domain[place]),
                "source": pairs.source[place],
            }
            for place in new
        ),
    ]
    if rows:
        write_text_atomically(output, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return {"pairs": len(rows), "new": len(new), "answered": len(said), "output": str(output)}


def most_alike(pairs: Pairs, scores: Any, share: float) -> set[int]:
    """Return the places of each domain's near misses with the highest cosines: at least one of each domain."""
    found: set[int] = set()
    for domain in np.unique(pairs.domain):
        places = np.flatnonzero((pairs.domain == domain) & (pairs.label == 0))
        count = int(np.ceil(share * len(places)))
        found |= set(places[np.argsort(-scores[places], kind="stable")[:count]].tolist())
    return found


def _key(a: str, b: str) -> frozenset[str]:
    return frozenset((a.strip(), b.strip()))
