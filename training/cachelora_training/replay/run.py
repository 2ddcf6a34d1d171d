"""Replays of one bundle over thresholds and store sizes, beside what the model of store sizes foretells."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cachelora import Embedder
from cachelora.errors import UsageError
from cachelora.terminal import note, progress

from cachelora_training.measures import ALL_DOMAINS
from cachelora_training.provenance import describe_data
from cachelora_training.replay.answers import read_answers
from cachelora_training.replay.cache import Outcome, play
from cachelora_training.replay.traffic import Traffic, make_traffic
from cachelora_training.store_size import Vectors, counts_reaching, fit_neighbours, measured_rates
from cachelora_training.unrelated import describe_stored, read_unrelated

__all__ = ["Plan", "replay_bundle"]

WORST = 20
# The model learns from a fifth of the largest store, so that the larger ones test what it foretells.
FITTED_ON = 5
MOST_ASKED = 2000


@dataclass(frozen=True)
class Plan:
    """What is replayed.

    Attributes:
        entries: Store sizes at the start.
        questions: How many questions arrive in each replay.
        exponent: Of the popularity of answers, see :func:`make_traffic`.
        unrelated_share: Of arriving questions that share no answer with any other.
        seed: Of the draws.
    """

    entries: tuple[int, ...] = (100, 1000, 10_000)
    questions: int = 5000
    exponent: float = 1.0
    unrelated_share: float = 0.3
    seed: int = 0

    def check(self) -> None:
        """Raise UsageError where a value can't be used."""
        if self.questions < 1 or not self.entries or min(self.entries) < 0:
            raise UsageError("a replay needs at least one question and store sizes of at least 0")
        if self.exponent < 0 or not 0 <= self.unrelated_share < 1:
            raise UsageError(
                f"the exponent is {self.exponent} and the share of unrelated questions {self.unrelated_share}; "
                "at least 0, and a share below 1, were expected"
            )


def replay_bundle(
    bundle: Path,
    data: Sequence[str],
    unrelated_data: Sequence[str],
    plan: Plan,
    *,
    thresholds: Sequence[float] = (),
) -> dict[str, Any]:
    """Replay traffic through caches of several sizes.

    Args:
        bundle: The encoder.
        data: Triplets, labelled pairs or intent rows.
        unrelated_data: Questions that fill the store and the stream.
        plan: Sizes, popularity, seed.
        thresholds: Without any, those that the bundle was calibrated to for all domains.

    Returns:
        The content of ``replay.json``; the README of this distribution describes it.

    Raises:
        UsageError: a value can't be used, the bundle has no thresholds, or there are too few unrelated questions.
        RowsError, BundleNotFoundError, BundleInvalidError: what is named can't be used.
    """
    plan.check()
    answers = read_answers(data)
    unrelated = read_unrelated(unrelated_data, answers) if unrelated_data else []
    with Embedder(bundle, threads=len(os.sched_getaffinity(0))) as embedder:
        levels = _levels(bundle, thresholds)
        try:
            streams = {
                entries: make_traffic(answers, unrelated, **{**asdict(plan), "entries": entries})
                for entries in sorted(plan.entries)
            }
        except ValueError as error:
            raise UsageError(f"{error}; --unrelated names files of more") from error
        largest = streams[max(streams)]
        # The streams share texts, so each is encoded once and only if some stream needs it.
        needed = np.unique(np.concatenate([part for one in streams.values() for part in (one.stored, one.asked)]))
        note(f"embedding {len(needed)} questions with {embedder.backend}")
        vectors = np.zeros((len(largest.texts), embedder.dimension), dtype=np.float32)
        vectors[needed] = embedder.encode([largest.texts[place] for place in needed])
        model = {"key": "bundle", "fingerprint": embedder.fingerprint, "backend": embedder.backend}
    runs: list[dict[str, Any]] = []
    with progress() as display:
        task = display.add_task("replay", total=len(streams) * len(levels) * plan.questions)
        for threshold, budget in levels:
            foretold = _foretold(largest, vectors, threshold, sorted(streams))
            for entries, traffic in streams.items():
                outcome = play(traffic, vectors, threshold, advance=lambda: display.advance(task))
                runs.append(
                    {
                        "key": "bundle",
                        "domain": ALL_DOMAINS,
                        "threshold": threshold,
                        "max_false_hit_rate": budget,
                        "entries": entries,
                        "questions": len(traffic.asked),
                        **_rates(outcome, traffic),
                        "index": outcome.index,
                        "crowd": foretold[entries],
                        "worst": _worst(outcome, traffic, vectors),
                    }
                )
    return {
        "schema_version": "1.0",
        "settings": {**asdict(plan), "entries": list(plan.entries)},
        "data": {"labelled": describe_data(data, answers), "unrelated": describe_stored(unrelated_data)},
        "answers": len(answers),
        "models": [model],
        "runs": runs,
    }


def _levels(bundle: Path, thresholds: Sequence[float]) -> list[tuple[float, float | None]]:
    """Return each threshold with the budget that it was calibrated to, if any."""
    for threshold in thresholds:
        if not -1 <= threshold <= 1:
            raise UsageError(f"the threshold is {threshold}, a cosine was expected")
    if thresholds:
        return [(threshold, None) for threshold in thresholds]
    path = bundle / "calibration.json"
    found = json.loads(path.read_text(encoding="utf-8"))["domains"].get(ALL_DOMAINS, []) if path.is_file() else []
    if not found:
        raise UsageError(f"{bundle}: no threshold was calibrated for all domains; --threshold gives one")
    return [(entry["threshold"], entry["max_false_hit_rate"]) for entry in found]


def _rates(outcome: Outcome, traffic: Traffic) -> dict[str, Any]:
    """Return shares of all questions, and of what the labels can't tell."""
    labelled = traffic.answer[traffic.asked] >= 0
    # The best that any cache could do: an answer that was asked for before is served.
    seen: set[int] = set()
    repeated = 0
    for place in traffic.asked[labelled]:
        answer = int(traffic.answer[place])
        repeated += answer in seen
        seen.add(answer)
    return {
        "hit_rate": float(outcome.hit.mean()),
        "right_hit_rate": float(outcome.right.mean()),
        "wrong_hit_rate": float(outcome.wrong.mean()),
        "unjudged_hit_rate": float(outcome.unjudged.mean()),
        "wrong_from_crowd_rate": float(outcome.crowd.mean()),
        "saved_calls": int(outcome.hit.sum()),
        "hits": int(outcome.hit.sum()),
        "wrong_hits": int(outcome.wrong.sum()),
        "repeated": repeated,
        "missed": int(repeated - outcome.right[labelled].sum()),
    }


def _foretold(traffic: Traffic, vectors: Vectors, threshold: float, sizes: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return, for each store size, how often some unrelated stored question reaches the threshold.

    ``measured`` counts, ``predicted`` was fitted to the first stored questions only and is None where those
    never reached the threshold.
    """
    asked = vectors[np.unique(traffic.asked[traffic.answer[traffic.asked] >= 0])[:MOST_ASKED]]
    stored = vectors[traffic.stored]
    sample = stored[: max(1, len(stored) // FITTED_ON)]
    model = fit_neighbours(counts_reaching(asked, sample, [threshold])[0], len(sample)) if len(sample) else None
    measured = measured_rates(asked, stored, threshold, sizes)
    return {
        size: {
            "measured_wrong_neighbour_rate": rate,
            "predicted_wrong_neighbour_rate": None if model is None else model.wrong_rate(size),
            "fitted_on": len(sample),
        }
        for size, rate in zip(sizes, measured, strict=True)
    }


def _worst(outcome: Outcome, traffic: Traffic, vectors: Vectors) -> list[dict[str, Any]]:
    """Return the wrong hits of highest cosine, each pair of questions once."""
    found: dict[tuple[int, int], float] = {}
    for number in np.flatnonzero(outcome.wrong):
        asked, served = int(traffic.asked[number]), int(outcome.served[number])
        found[asked, served] = float(vectors[asked] @ vectors[served])
    worst = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:WORST]
    return [
        {
            "asked": traffic.texts[asked],
            "served": traffic.texts[served],
            "cosine": cosine,
            "crowd": bool(traffic.answer[served] < 0),
        }
        for (asked, served), cosine in worst
    ]
