"""Which of several models is better, and whether the rows are enough to say so."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cachelora_training.evaluate.resampling import interval

__all__ = ["compare_models", "holm", "p_value", "resamples_needed"]

Array = NDArray[np.float64]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted by Holm's step-down rule, so that the chance of any false claim keeps its level."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return [float(value) for value in adjusted]


def p_value(differences: Array) -> float:
    """Return the two-sided p-value of a difference from its resamples, (resamples,).

    Twice the share of resamples on the other side of zero, with one added to both counts: no finite number of
    resamples shows a chance of nothing.
    """
    usable = differences[np.isfinite(differences)]
    if not len(usable):
        return 1.0
    beyond = min((usable <= 0).sum(), (usable >= 0).sum())
    return float(min(1.0, 2 * (beyond + 1) / (len(usable) + 1)))


def resamples_needed(tests: int, confidence: float) -> int:
    """Return with how many resamples the clearest of so many differences can still be significant after Holm.

    Twice the least number, so that one unlucky resample does not decide.
    """
    return math.ceil(4 * tests / (1 - confidence))


def compare_models(
    figures: Mapping[str, Mapping[str, Mapping[str, float]]],
    resampled: Mapping[str, Mapping[str, Mapping[str, Array]]],
    *,
    confidence: float,
) -> list[dict[str, Any]]:
    """Compare every two models on every group and measure, on the same resamples.

    Args:
        figures: By model, group and measure; the second of two models is compared with the first.
        resampled: The same with the values of the resamples, (resamples,) each; groups without any are left out.
        confidence: Of the intervals; one less the level of significance.
    """
    found: list[dict[str, Any]] = []
    for a, b in combinations(figures, 2):
        for group in figures[a]:
            for measure, a_value in figures[a][group].items():
                if measure not in resampled[a].get(group, {}):
                    continue
                differences = resampled[b][group][measure] - resampled[a][group][measure]
                found.append(
                    {
                        "a": a,
                        "b": b,
                        "measure": measure,
                        "group": group,
                        "a_value": a_value,
                        "b_value": figures[b][group][measure],
                        "difference": figures[b][group][measure] - a_value,
                        "interval": interval(differences, confidence),
                        "p_value": p_value(differences),
                    }
                )
    for comparison, adjusted in zip(found, holm([one["p_value"] for one in found]), strict=True):
        comparison["p_holm"] = adjusted
        comparison["significant"] = adjusted <= 1 - confidence
    return found
