"""Thresholds whose false-hit rate is bounded with a stated confidence: the arithmetic.

For a threshold t, a near miss is a false hit when its similarity reaches t. The question is how low t may be
so that the rate of false hits stays below a budget, with confidence 1 - delta over the draw of the rows.

Method: fixed-sequence testing, one of the procedures of Learn then Test (Angelopoulos, Bates, Candes, Jordan,
Lei 2021, "Learn then Test: Calibrating Predictive Algorithms to Achieve Risk Control"). Thresholds are tested
from the safest downward; each test asks by an exact binomial p-value (Clopper and Pearson 1934) whether the rate
could still exceed the budget; the first that can't be excluded stops the sequence. Because the order is fixed
before any row is seen and testing stops at the first failure, the error over all tests is at most delta, with no
correction for their number.

The bound is that of one claim, a budget in a domain. Whoever needs several to hold together divides 1 - confidence by
their number (Bonferroni); `calibrate_bundle` does so on request. It assumes that near misses are drawn independently:
pairs with a common question are not, so only one of them may be given (:func:`without_common_questions`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["GRID", "CalibratedThreshold", "calibrate_threshold", "negatives_needed", "without_common_questions"]

# Fixed before any data: from 0.995 down to 0 in steps of 0.005.
GRID = tuple(round(1 - 0.005 * step, 3) for step in range(1, 201))


@dataclass(frozen=True)
class CalibratedThreshold:
    """A threshold and what is known about it.

    Attributes:
        max_false_hit_rate: The budget, a share between 0 and 1.
        threshold: The lowest cosine at which a stored answer may be reused.
        negatives, false_hits: Near misses, and how many of them reach the threshold.
        false_hit_rate_upper: The Clopper-Pearson upper bound of their rate at the confidence used, as if the threshold
            had been given. It was chosen on the same near misses, so what is claimed is the budget and not this.
        positives, hit_rate: Same-answer pairs, and the share of them that reaches the threshold; None without any.
    """

    max_false_hit_rate: float
    threshold: float
    negatives: int
    false_hits: int
    false_hit_rate_upper: float
    positives: int
    hit_rate: float | None


def negatives_needed(budget: float, confidence: float, false_hit_rate: float = 0.0) -> int | None:
    """Return how many near misses are needed to claim ``budget``.

    Args:
        budget: As :func:`calibrate_threshold` takes it.
        confidence: As :func:`calibrate_threshold` takes it.
        false_hit_rate: The share of them that will reach the threshold, as far as one knows.

    Returns:
        The smallest such number, or None where ``false_hit_rate`` is not below ``budget``: no number suffices.
    """
    from scipy.stats import binom

    if false_hit_rate >= budget:
        return None
    low = math.ceil(math.log(1 - confidence) / math.log(1 - budget))

    def suffices(count: int) -> bool:
        return bool(binom.cdf(math.ceil(false_hit_rate * count), count, budget) <= 1 - confidence)

    if suffices(low):
        return low
    high = 2 * low
    while not suffices(high):
        high *= 2
    # Not monotone from one number to the next, because false hits come whole; near enough for advice.
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high


def calibrate_threshold(
    positive: NDArray[np.float32],
    negative: NDArray[np.float32],
    *,
    budget: float,
    confidence: float,
    grid: Sequence[float] = GRID,
) -> CalibratedThreshold | None:
    """Return the lowest threshold that keeps false hits within ``budget``, or None where no claim is possible.

    Args:
        positive: Cosines of same-answer pairs, (n,).
        negative: Cosines of near misses, (m,).
        budget: The highest acceptable share of near misses that reach the threshold, in (0, 1).
        confidence: The probability, over the draw of the rows, that the claim holds, in (0, 1).
        grid: Thresholds from the safest downward, chosen without looking at the rows.
    """
    from scipy.stats import beta, binom

    chosen: float | None = None
    for threshold in grid:
        false_hits = int((negative >= np.float32(threshold)).sum())
        # The chance of so few false hits if the true rate were the budget.
        if binom.cdf(false_hits, len(negative), budget) > 1 - confidence:
            break
        chosen = threshold
    if chosen is None:
        return None
    false_hits = int((negative >= np.float32(chosen)).sum())
    upper = float(beta.ppf(confidence, false_hits + 1, len(negative) - false_hits))
    return CalibratedThreshold(
        max_false_hit_rate=budget,
        threshold=chosen,
        negatives=len(negative),
        false_hits=false_hits,
        false_hit_rate_upper=upper,
        positives=len(positive),
        hit_rate=float((positive >= np.float32(chosen)).mean()) if len(positive) else None,
    )


def without_common_questions(first: NDArray[np.int64], second: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return the places of pairs that have no question in common, drawn with ``seed``, rising.

    Pairs that share a question rise and fall together: near misses of one anchor, one near miss of several anchors,
    and a pair that comes in both directions, as pairs made from intents do. An exact binomial bound counts each of
    them as a draw of its own, and would claim more than they show. Pairs are taken in random order, each unless one of
    its questions is taken already; cosines have no say, so that the draw favours none.

    Args:
        first: The number of each pair's one question, (n,).
        second: The number of its other question, (n,).
        seed: Of the order.
    """
    taken: set[int] = set()
    kept = []
    for place in np.random.default_rng(seed).permutation(len(first)):
        questions = {int(first[place]), int(second[place])}
        if taken.isdisjoint(questions):
            taken |= questions
            kept.append(int(place))
    return np.sort(np.array(kept, dtype=np.int64))
