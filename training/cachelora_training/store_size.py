"""How the chance of a wrong nearest neighbour grows with the number of stored questions.

A threshold that keeps near misses out says nothing of the crowd: each stored question is one more chance that some
other question reaches the threshold. Let p be the share of all questions that reach it for one asked question; it
differs from question to question, because some sit in a crowd and most do not. With p drawn from a Beta(a, b)
distribution, the chance that at least one of n stored questions reaches the threshold is

    1 - E[(1 - p)^n] = 1 - B(a, b + n) / B(a, b)

which grows more slowly than 1 - (1 - mean p)^n, as crowds do: where one stored question reaches, others do too.
a and b are fitted to how many of a sample of stored questions reach the threshold for each asked one (beta-binomial
maximum likelihood). It is a model and not a guarantee; the replay measures what it predicts. A bound needs no model:
the chance is concave in n, so n stored questions are at most n / m times as dangerous as m of them were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "NeighbourModel",
    "counts_reaching",
    "fit_neighbours",
    "nearest_cosines",
    "predicted_rate",
    "rate_bound",
    "threshold_for_store",
]

Vectors = NDArray[np.float32]
Counts = NDArray[np.int64]
BLOCK = 1 << 24
# Two numbers can't be fitted to less.
LEAST_REACHED = 5


@dataclass(frozen=True)
class NeighbourModel:
    """The chance of a wrong neighbour at one threshold.

    Attributes:
        a, b: Of the Beta distribution of the share of stored questions that reach the threshold.
    """

    a: float
    b: float

    def wrong_rate(self, entries: int) -> float:
        """Return the chance that at least one of ``entries`` stored questions reaches the threshold."""
        from scipy.special import betaln

        return float(-np.expm1(betaln(self.a, self.b + entries) - betaln(self.a, self.b)))


def counts_reaching(asked: Vectors, stored: Vectors, thresholds: Sequence[float]) -> Counts:
    """Return how many stored vectors reach each threshold for each asked vector: (thresholds, asked).

    Args:
        asked: Unit vectors, (n, dimension), of questions that none of the stored ones answers.
        stored: Unit vectors, (m, dimension).
        thresholds: Cosines.
    """
    counts = np.zeros((len(thresholds), len(asked)), dtype=np.int64)
    step = max(1, BLOCK // max(1, len(asked)))
    for start in range(0, len(stored), step):
        cosines = asked @ stored[start : start + step].T
        for place, threshold in enumerate(thresholds):
            counts[place] += (cosines >= np.float32(threshold)).sum(axis=1)
    return counts


def nearest_cosines(asked: Vectors, stored: Vectors, sizes: Sequence[int]) -> Vectors:
    """Return, for the first n of the stored vectors, each asked one's highest cosine: (sizes, asked).

    The share of a row at or above a threshold is the rate that :class:`NeighbourModel` foretells.

    Args:
        asked: As :func:`counts_reaching` takes them.
        stored: As :func:`counts_reaching` takes them.
        sizes: Each n, at most ``len(stored)``, rising; minus infinity stands for a cosine where n is 0.
    """
    best = np.full(len(asked), -np.inf, dtype=np.float32)
    found = np.empty((len(sizes), len(asked)), dtype=np.float32)
    step = max(1, BLOCK // max(1, len(asked)))
    done = 0
    for place, size in enumerate(sizes):
        for start in range(done, size, step):
            best = np.maximum(best, (asked @ stored[start : min(start + step, size)].T).max(axis=1))
        found[place] = best
        done = size
    return found


def fit_neighbours(counts: Counts, stored: int) -> NeighbourModel | None:
    """Return the model that makes ``counts`` likeliest, or None where fewer than five questions were reached.

    Args:
        counts: For each asked question, how many of the stored ones reach the threshold.
        stored: How many are stored.
    """
    from scipy.optimize import minimize
    from scipy.special import betaln

    if np.count_nonzero(counts) < LEAST_REACHED:
        return None
    values, repeats = np.unique(counts, return_counts=True)

    def loss(logs: NDArray[np.float64]) -> float:
        a, b = np.exp(np.clip(logs, -30, 30))
        return -float(repeats @ (betaln(a + values, b + stored - values) - betaln(a, b)))

    share = max(float(counts.mean()) / stored, 1e-12)
    # The mean is known well and the spread is not: begin at several spreads, keep the best end.
    starts = [np.log([scale * share, scale * (1 - share) + 1e-9]) for scale in (1.0, 1e2, 1e4)]
    ends = [minimize(loss, start, method="Nelder-Mead", options={"maxiter": 2000}) for start in starts]
    best = min(ends, key=lambda end: float(end.fun))
    a, b = np.exp(np.clip(best.x, -30, 30))
    return NeighbourModel(float(a), float(b))


def predicted_rate(counts: Counts, stored: int, entries: int) -> float:
    """Return the chance of a wrong neighbour among ``entries``: the model's, or m to n in proportion without one."""
    model = fit_neighbours(counts, stored)
    if model is not None:
        return model.wrong_rate(entries)
    return min(1.0, float((counts > 0).mean()) * entries / stored)


def rate_bound(counts: Counts, stored: int, entries: int, confidence: float) -> float:
    """Return what the chance of a wrong neighbour among ``entries`` does not exceed, by no model.

    The Clopper-Pearson bound, over the draw of the asked questions, of the share that the stored ones reach; in
    proportion where ``entries`` are more than ``stored``.
    """
    from scipy.stats import beta

    reached = np.count_nonzero(counts)
    upper = 1.0 if reached == len(counts) else float(beta.ppf(confidence, reached + 1, len(counts) - reached))
    return min(1.0, upper * max(1.0, entries / stored))


def threshold_for_store(
    asked: Vectors, stored: Vectors, *, budget: float, entries: int, grid: Sequence[float]
) -> tuple[float, float] | None:
    """Return the lowest threshold whose predicted chance of a wrong neighbour is within ``budget``, and that chance.

    Args:
        asked: As :func:`counts_reaching` takes them.
        stored: As :func:`counts_reaching` takes them.
        budget: The highest acceptable chance, in (0, 1).
        entries: How many questions the cache will hold; may be more than ``stored``.
        grid: Thresholds, falling. The search stops at the first that is over the budget.

    Returns:
        None where even the highest threshold is over the budget.
    """
    chosen: tuple[float, float] | None = None
    for threshold, counts in zip(grid, counts_reaching(asked, stored, grid), strict=True):
        rate = predicted_rate(counts, len(stored), entries)
        if rate > budget:
            break
        chosen = threshold, rate
    return chosen
