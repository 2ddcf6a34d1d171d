"""Figures of many resamples at once: the bootstrap over anchors."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["anchor_weights", "interval", "resampled_figures", "weighted_figures"]

Array = NDArray[np.float64]

# Numbers in one chunk of weights, 32 MiB.
CHUNK = 1 << 22


def anchor_weights(anchors: NDArray[np.int64], *, seed: int, name: str, resamples: int) -> Iterator[Array]:
    """Yield how often each pair stands in each resample: chunks of (resamples of the chunk, n).

    Anchors are drawn with replacement, as many as there are distinct ones, each with all of its pairs. Equal
    arguments give equal resamples, which is what makes a comparison of two models a paired one.

    Args:
        anchors: The anchor of each pair, (n,).
        seed: Of the draw.
        name: Of the group of pairs; groups are drawn apart.
        resamples: How many.
    """
    generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
    distinct, place = np.unique(anchors, return_inverse=True)
    # Chunks hang on sizes only, so that the draw is the same for every model.
    step = max(1, CHUNK // len(anchors))
    for start in range(0, resamples, step):
        drawn = generator.multinomial(
            len(distinct), np.full(len(distinct), 1 / len(distinct)), min(step, resamples - start)
        )
        yield drawn[:, place].astype(np.float64)


def weighted_figures(
    scores: NDArray[np.floating], label: NDArray[np.int8], weights: Array, false_hit_rates: Sequence[float]
) -> dict[str, Array]:
    """Return the figures of pairs under each of several weightings.

    Args:
        scores: Cosines, (n,).
        label: 1 or 0, (n,).
        weights: How often each pair counts, (resamples, n).
        false_hit_rates: Bounds on false hits.

    Returns:
        ``margin``, ``roc_auc``, ``average_precision``, ``curve_area`` and ``hit_rate_at_B`` for each bound,
        (resamples,) each; NaN where a label has no weight.
    """
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    # Pairs of equal score reach a threshold together.
    starts = np.flatnonzero(np.concatenate([[True], falling[1:] != falling[:-1]]))
    level = falling[starts].astype(np.float64)
    ordered = weights[:, order]
    is_positive = (label[order] == 1).astype(np.float64)
    positive = np.add.reduceat(ordered * is_positive, starts, axis=1)
    negative = np.add.reduceat(ordered * (1 - is_positive), starts, axis=1)
    hits, false_hits = positive.cumsum(axis=1), negative.cumsum(axis=1)
    positives, negatives = hits[:, -1], false_hits[:, -1]
    reached = hits + false_hits
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(reached > 0, hits / reached, 0)
        below = negatives[:, None] - false_hits
        figures = {
            "margin": (positive @ level) / positives - (negative @ level) / negatives,
            "roc_auc": (positive * (below + negative / 2)).sum(axis=1) / (positives * negatives),
            "average_precision": (positive * precision).sum(axis=1) / positives,
            "curve_area": ((positive + negative) * precision).sum(axis=1) / (positives + negatives),
        }
        for bound in false_hit_rates:
            # Rounding must not refuse 3 of 100 at a bound of 0.03.
            kept = (false_hits <= bound * negatives[:, None] + 1e-9).sum(axis=1)
            rate = np.where(kept > 0, hits[np.arange(len(hits)), kept - 1], 0) / positives
            figures[f"hit_rate_at_{bound:g}"] = np.where(negatives > 0, rate, np.nan)
    return figures


def resampled_figures(
    scores: NDArray[np.floating],
    label: NDArray[np.int8],
    anchors: NDArray[np.int64],
    *,
    false_hit_rates: Sequence[float],
    seed: int,
    name: str,
    resamples: int,
) -> dict[str, Array]:
    """Return the figures of every resample, (resamples,) each; see :func:`weighted_figures`."""
    chunks = [
        weighted_figures(scores, label, weights, false_hit_rates)
        for weights in anchor_weights(anchors, seed=seed, name=name, resamples=resamples)
    ]
    return {key: np.concatenate([chunk[key] for chunk in chunks]) for key in chunks[0]}


def interval(values: Array, confidence: float) -> list[float] | None:
    """Return the percentile interval of resampled values, or None where no resample has a value."""
    usable = values[np.isfinite(values)]
    if not len(usable):
        return None
    low, high = np.quantile(usable, [(1 - confidence) / 2, (1 + confidence) / 2])
    return [float(low), float(high)]
