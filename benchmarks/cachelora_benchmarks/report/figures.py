"""The arithmetic of the report, on whole numbers, so that the browser finds exactly the same figures.

Cosines are kept in units of 1e-5, rounded down: ``cosine >= threshold`` then decides as it does on the cosine
itself for every threshold that is a whole number of units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from cachelora_training.measures import Floats
from numpy.typing import NDArray

__all__ = [
    "CONFIDENCE",
    "NARROW",
    "STEP",
    "UNIT",
    "AtThreshold",
    "Separation",
    "Units",
    "at_threshold",
    "highest_bound",
    "percent",
    "separation",
    "threshold_for",
    "to_units",
    "wrong_hits_at_hits",
]

UNIT = 100_000
# Keeps a number and its sign on one line.
NARROW = "\u202f"
# What one press of an arrow key moves the slider by: 0.001.
STEP = 100
# Of the upper bound beside the wrong-hit rate.
CONFIDENCE = 0.95

Units = NDArray[np.int64]


@dataclass(frozen=True)
class AtThreshold:
    """What happens to pairs at one threshold: counts, from which every share follows."""

    hits: int
    positives: int
    wrong_hits: int
    negatives: int


def to_units(cosines: Floats) -> Units:
    """Return cosines in units of 1e-5, rounded down.

    A thousandth of a unit or so is what float32 loses of a cosine that equals a threshold; it may not cost a hit.
    """
    return np.floor(cosines.astype(np.float64) * UNIT + 0.01).astype(np.int64)


def at_threshold(positive: Units, negative: Units, threshold: int) -> AtThreshold:
    """Count the pairs that reach a threshold, in units."""
    return AtThreshold(
        hits=int((positive >= threshold).sum()),
        positives=len(positive),
        wrong_hits=int((negative >= threshold).sum()),
        negatives=len(negative),
    )


def percent(part: int, whole: int) -> str:
    """Return a share in per cent with one decimal, halves rounded up; a dash where there is no whole."""
    if whole == 0:
        return "–"
    tenths = (2000 * part + whole) // (2 * whole)
    return f"{tenths // 10}.{tenths % 10}{NARROW}%"


def highest_bound(wrong_hits: int, negatives: int) -> float:
    """Return the highest wrong-hit rate that these counts leave possible (Clopper and Pearson, one-sided 95 %)."""
    from scipy.stats import beta

    return 1.0 if wrong_hits == negatives else float(beta.ppf(CONFIDENCE, wrong_hits + 1, negatives - wrong_hits))


def wrong_hits_at_hits(positive: Units, negative: Units, hits: int) -> int:
    """Return the wrong hits at the highest threshold that gives at least so many hits; 0 for no hits."""
    if hits == 0:
        return 0
    return int((negative >= np.sort(positive)[::-1][hits - 1]).sum())


@dataclass(frozen=True)
class Separation:
    """How far apart cosines of same answers and of near misses lie; None where a group lacks one of the two.

    Attributes:
        positives, negatives: How many of each.
        margin: Mean cosine of the former less that of the latter.
        roc_auc: The chance that a random same answer is more similar than a random near miss.
        average_precision: The area under the precision-recall curve, as a sum of steps.
    """

    positives: int
    negatives: int
    margin: float | None = None
    roc_auc: float | None = None
    average_precision: float | None = None


def separation(positive: Floats, negative: Floats) -> Separation:
    """Return the figures for cosines of same answers, (n,), and of near misses, (m,)."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    if not len(positive) or not len(negative):
        return Separation(len(positive), len(negative))
    label = np.repeat([1, 0], [len(positive), len(negative)])
    cosine = np.concatenate([positive, negative]).astype(np.float64)
    return Separation(
        positives=len(positive),
        negatives=len(negative),
        margin=float(positive.mean(dtype=np.float64) - negative.mean(dtype=np.float64)),
        roc_auc=float(roc_auc_score(label, cosine)),
        average_precision=float(average_precision_score(label, cosine)),
    )


def threshold_for(negative: Units, rate: float) -> int:
    """Return the lowest threshold on the slider's grid whose share of wrong hits is at most ``rate``."""
    for threshold in range(0, UNIT + 1, STEP):
        if (negative >= threshold).mean() <= rate:
            return threshold
    return UNIT
