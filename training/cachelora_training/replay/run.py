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
from numpy.typing import NDArray

from cachelora_training.measures import ALL_DOMAINS
from cachelora_training.provenance import describe_data
from cachelora_training.replay.answers import read_answers
from cachelora_training.replay.cache import Outcome, neighbours_at_start, play
from cachelora_training.replay.store import Store, open_store
from cachelora_training.replay.traffic import Traffic, make_traffic
from cachelora_training.store_size import Vectors, counts_reaching, fit_neighbours, nearest_cosines
from cachelora_training.unrelated import describe_stored, read_unrelated

__all__ = ["Plan", "replay_bundle"]

WORST = 20
# The model learns from a fifth of the largest store, so that the larger ones test what it foretells.
FITTED_ON = 5
SAMPLED = 2000
EMBEDDED_AT_ONCE = 2048
# Two ways to sum 384 products in float32 differ by less.
ROUNDING = 1e-6


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
                for entries in sorted(set(plan.entries))
            }
        except ValueError as error:
            raise UsageError(f"{error}; --unrelated names files of more") from error
        largest = streams[max(streams)]
        vectors = _vectors(embedder, largest)
        model = {"key": "bundle", "fingerprint": embedder.fingerprint, "backend": embedder.backend}
    crowd = _Crowd(largest, vectors, [threshold for threshold, _ in levels], list(streams), plan.seed)
    store = open_store(vectors[largest.stored])
    found: dict[tuple[float, int], dict[str, Any]] = {}
    note(f"storing up to {max(streams)} questions ({store.name} search)")
    with progress() as display:
        storing = display.add_task("store", total=max(streams))
        playing = display.add_task("replay", total=len(streams) * len(levels) * plan.questions)
        for entries, traffic in streams.items():
            # A fuller store holds all of a less full one, so it is filled once.
            store.hold(entries, lambda added: display.advance(storing, added))
            at_start = neighbours_at_start(traffic, vectors, store)
            for threshold, budget in levels:
                outcome = play(traffic, vectors, threshold, at_start, advance=lambda: display.advance(playing))
                found[threshold, entries] = {
                    "key": "bundle",
                    "domain": ALL_DOMAINS,
                    "threshold": threshold,
                    "max_false_hit_rate": budget,
                    "entries": entries,
                    "questions": len(traffic.asked),
                    **_rates(outcome, traffic),
                    "index": store.name,
                    "index_recall": crowd.recall(store, entries, threshold),
                    "crowd": crowd.rates(entries, threshold),
                    "worst": _worst(outcome, traffic, vectors),
                }
    runs = [found[threshold, entries] for threshold, _ in levels for entries in streams]
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


class _Crowd:
    """What stored unrelated questions are to a sample of the labelled ones that are asked, found without an index."""

    def __init__(
        self, traffic: Traffic, vectors: Vectors, thresholds: Sequence[float], sizes: Sequence[int], seed: int
    ) -> None:
        labelled = np.unique(traffic.asked[traffic.answer[traffic.asked] >= 0])
        chosen = np.random.default_rng(seed).permutation(labelled)[:SAMPLED]
        self._asked = vectors[chosen]
        stored = vectors[traffic.stored]
        nearest = nearest_cosines(self._asked, stored, sizes)
        self._nearest = dict(zip(sizes, nearest, strict=True))
        sample = stored[: max(1, len(stored) // FITTED_ON)]
        self._fitted_on = len(sample)
        self._models = {
            threshold: fit_neighbours(counts, len(sample)) if len(sample) else None
            for threshold, counts in zip(thresholds, counts_reaching(self._asked, sample, thresholds), strict=True)
        }
        self._found: dict[int, Vectors] = {}

    def rates(self, entries: int, threshold: float) -> dict[str, Any]:
        """Return how often some stored question reaches the threshold, counted and foretold.

        The model was fitted to the first stored questions only, and is None where too few of those reached the
        threshold.
        """
        model = self._models[threshold]
        return {
            "questions": len(self._asked),
            "measured_wrong_neighbour_rate": _share(self._nearest[entries] >= np.float32(threshold)),
            "predicted_wrong_neighbour_rate": None if model is None else model.wrong_rate(entries),
            "fitted_on": self._fitted_on,
        }

    def recall(self, store: Store, entries: int, threshold: float) -> dict[str, Any]:
        """Return how often the index of ``store``, which holds ``entries``, finds what an exact search does."""
        if entries not in self._found:
            self._found[entries] = store.nearest(self._asked)[1]
        found, nearest = self._found[entries], self._nearest[entries]
        reached = nearest >= np.float32(threshold)
        return {
            "questions": len(found),
            "nearest_found": _share(found >= nearest - ROUNDING) if entries else None,
            "reaching": int(reached.sum()),
            "reaching_found": _share(found[reached] >= np.float32(threshold) - ROUNDING),
        }


def _share(flags: NDArray[np.bool_]) -> float | None:
    return float(flags.mean()) if len(flags) else None


def _vectors(embedder: Embedder, traffic: Traffic) -> Vectors:
    """Return the vectors of the texts that are asked or stored, (texts, dimension); zeros for the others."""
    needed = np.union1d(traffic.asked, np.arange(traffic.stored.start, traffic.stored.stop))
    note(f"embedding {len(needed)} questions with {embedder.backend}")
    vectors = np.zeros((len(traffic.texts), embedder.dimension), dtype=np.float32)
    with progress() as display:
        task = display.add_task("embed", total=len(needed))
        # Piece by piece, because a million vectors need not be held twice.
        for start in range(0, len(needed), EMBEDDED_AT_ONCE):
            part = needed[start : start + EMBEDDED_AT_ONCE]
            vectors[part] = embedder.encode([traffic.texts[place] for place in part], show_progress_bar=False)
            display.advance(task, len(part))
    return vectors


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
