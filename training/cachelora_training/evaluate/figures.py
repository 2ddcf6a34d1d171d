"""The figures of one group of pairs, and the curve over all thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cachelora_training.evaluate.pairs import LENGTHS, LONGEST, Pairs
from cachelora_training.evaluate.resampling import interval, resampled_figures, weighted_figures
from cachelora_training.measures import ALL_DOMAINS

__all__ = ["GROUPINGS", "Settings", "compared_groups", "curve", "figures_of", "groups_of"]

# The key of a grouping and the column of `Pairs` that it follows.
GROUPINGS = {"by_domain": "domain", "by_kind": "kind", "by_length": "length"}
WITH_INTERVAL = ("margin", "roc_auc", "average_precision", "curve_area")


@dataclass(frozen=True)
class Settings:
    """How figures are made.

    Attributes:
        seed: Of resampling, of the partners of intents and of the examples.
        resamples: Of the bootstrap.
        confidence: Of the intervals, and one less the level at which a comparison is significant.
        false_hit_rates: Bounds on false hits at which hits are counted.
    """

    seed: int = 0
    resamples: int = 1000
    confidence: float = 0.95
    false_hit_rates: tuple[float, ...] = (0.01, 0.03, 0.05)


def groups_of(pairs: Pairs, column: str, members: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """Return which pairs each group has, by the group's name, and ``all`` last; empty groups are left out."""
    names = getattr(pairs, column)
    present = sorted({str(name) for name in names[members]}, key=_place_of)
    groups = {name: members & (names == name) for name in present}
    return groups | {ALL_DOMAINS: members}


def compared_groups(groups: Mapping[str, Any]) -> list[str]:
    """Return which of the groups by domain are compared: without the only one, which is the whole under another name.

    Holm's rule would take it for twice as many claims.
    """
    return [ALL_DOMAINS] if len(groups) == 2 else list(groups)


def _place_of(name: str) -> tuple[int, str]:
    """Order lengths by length and other names by name."""
    lengths = [*LENGTHS, LONGEST]
    return lengths.index(name) if name in lengths else 0, name


def figures_of(
    pairs: Pairs, scores: NDArray[np.float64], members: NDArray[np.bool_], name: str, settings: Settings
) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
    """Return the figures of a group and, for comparisons, those of its resamples.

    Args:
        pairs: Every pair.
        scores: The cosine of each.
        members: Which of them are the group, at least one.
        name: The group's, for its resamples.
        settings: How.
    """
    label, score, anchor = pairs.label[members], scores[members], pairs.anchor[members]
    positive, negative = score[label == 1], score[label == 0]
    found: dict[str, Any] = {
        "triplets": int(np.isin(pairs.triplet_rows, pairs.row[members]).sum()),
        "anchors": len(np.unique(anchor)),
        "positives": len(positive),
        "negatives": len(negative),
        "positive_mean": float(positive.mean()) if len(positive) else None,
        "negative_mean": float(negative.mean()) if len(negative) else None,
    }
    resampled: dict[str, NDArray[np.float64]] = {}
    if len(positive) and len(negative):
        found |= _point_figures(label, score)
        resampled = resampled_figures(
            score,
            label,
            anchor,
            false_hit_rates=settings.false_hit_rates,
            seed=settings.seed,
            name=name,
            resamples=settings.resamples,
        )
    else:
        found |= dict.fromkeys(WITH_INTERVAL)
    found |= {
        f"{key}_interval": interval(resampled[key], settings.confidence) if resampled else None for key in WITH_INTERVAL
    }
    found["hits"] = {
        f"{bound:g}": _hits(positive, negative, bound, resampled, settings) if resampled else None
        for bound in settings.false_hit_rates
    }
    return found, resampled


def curve(scores: NDArray[np.float64], label: NDArray[np.int8]) -> dict[str, list[float | None]]:
    """Return precision, cache-hit ratio, hit rate and false-hit rate at thresholds from 0 to 1 in steps of 0.01."""
    thresholds = np.arange(101) / 100
    positive, negative = (np.sort(scores[label == value]) for value in (1, 0))
    hits, false_hits = (
        len(part) - np.searchsorted(part, thresholds, side="left").astype(np.float64) for part in (positive, negative)
    )
    reached = hits + false_hits

    def shares(counts: NDArray[np.float64], whole: int) -> list[float | None]:
        return [float(count / whole) if whole else None for count in counts]

    return {
        "threshold": [float(threshold) for threshold in thresholds],
        "precision": [float(h / r) if r else None for h, r in zip(hits, reached, strict=True)],
        "cache_hit_ratio": shares(reached, len(scores)),
        "hit_rate": shares(hits, len(positive)),
        "false_hit_rate": shares(false_hits, len(negative)),
    }


def _point_figures(label: NDArray[np.int8], score: NDArray[np.float64]) -> dict[str, float]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    area = weighted_figures(score, label, np.ones((1, len(score))), ())["curve_area"][0]
    return {
        "margin": float(score[label == 1].mean() - score[label == 0].mean()),
        "roc_auc": float(roc_auc_score(label, score)),
        "average_precision": float(average_precision_score(label, score)),
        "curve_area": float(area),
    }


def _hits(
    positive: NDArray[np.float64],
    negative: NDArray[np.float64],
    bound: float,
    resampled: dict[str, NDArray[np.float64]],
    settings: Settings,
) -> dict[str, Any]:
    """Return what hits at the lowest threshold of these pairs that keeps the bound."""
    levels = np.unique(np.concatenate([positive, negative]))
    ordered = np.sort(negative)
    false_hits = len(negative) - np.searchsorted(ordered, levels, side="left")
    kept = np.flatnonzero(false_hits <= bound * len(negative) + 1e-9)
    threshold = float(levels[kept[0]]) if len(kept) else None
    return {
        "threshold": threshold,
        "hit_rate": 0.0 if threshold is None else float((positive >= threshold).mean()),
        "hit_rate_interval": interval(resampled[f"hit_rate_at_{bound:g}"], settings.confidence),
        "false_hit_rate": 0.0 if threshold is None else float((negative >= threshold).mean()),
    }
