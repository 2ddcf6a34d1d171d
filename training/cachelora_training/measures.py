"""What tells a safe encoder from an unsafe one: margin, and what margin hides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cachelora_training.rows import Triplet

__all__ = [
    "ALL_DOMAINS",
    "Measures",
    "Similarities",
    "measure",
    "measure_by",
    "triplet_similarities",
]

ALL_DOMAINS = "all"

Floats = NDArray[np.float32]
Encode = Callable[[list[str]], Floats]


@dataclass(frozen=True)
class Measures:
    """Figures over a set of triplets; all from cosines between -1 and 1.

    Attributes:
        triplets: How many triplets.
        margin: mean(cos(anchor, positive)) - mean(cos(anchor, negative)).
        roc_auc: The chance that a random positive is more similar than a random negative, 0.5 for guessing.
        average_precision: The area under the precision-recall curve, as a sum of steps.
        positive_mean: mean(cos(anchor, positive)).
        negative_mean: mean(cos(anchor, negative)).
    """

    triplets: int
    margin: float
    roc_auc: float
    average_precision: float
    positive_mean: float
    negative_mean: float


@dataclass(frozen=True)
class Similarities:
    """Cosines of anchors with positives and with negatives: float32, (triplets,) each."""

    positive: Floats
    negative: Floats


def measure(positive: Floats, negative: Floats) -> Measures:
    """Return the figures for cosines of positives and negatives, (n,) each, n at least 1."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    if positive.shape != negative.shape or positive.ndim != 1 or positive.size == 0:
        raise ValueError(f"two equal, non-empty vectors expected, found {positive.shape} and {negative.shape}")
    labels = np.concatenate([np.ones(len(positive)), np.zeros(len(negative))])
    scores = np.concatenate([positive, negative]).astype(np.float64)
    positive_mean = float(positive.mean(dtype=np.float64))
    negative_mean = float(negative.mean(dtype=np.float64))
    return Measures(
        triplets=len(positive),
        margin=positive_mean - negative_mean,
        roc_auc=float(roc_auc_score(labels, scores)),
        average_precision=float(average_precision_score(labels, scores)),
        positive_mean=positive_mean,
        negative_mean=negative_mean,
    )


def triplet_similarities(encode: Encode, rows: Sequence[Triplet]) -> Similarities:
    """Return the cosines of each row; ``encode`` maps n texts to (n, dimension) vectors of any length.

    Every distinct text is encoded once.
    """
    texts = list(dict.fromkeys(text for row in rows for text in (row.anchor, row.positive, row.negative)))
    place = {text: index for index, text in enumerate(texts)}
    vectors = np.asarray(encode(texts), dtype=np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    def rows_of(field: str) -> NDArray[np.float64]:
        return vectors[[place[getattr(row, field)] for row in rows]]

    anchor = rows_of("anchor")
    return Similarities(
        positive=np.einsum("ij,ij->i", anchor, rows_of("positive")).astype(np.float32),
        negative=np.einsum("ij,ij->i", anchor, rows_of("negative")).astype(np.float32),
    )


def measure_by(groups: Iterable[str], similarities: Similarities) -> dict[str, Measures]:
    """Return the figures of each group, by name, and of all rows as ``all``.

    Args:
        groups: One name per row, for instance its domain or its kind.
        similarities: The rows' cosines.
    """
    names = np.array(list(groups))
    measured = {
        str(name): measure(similarities.positive[names == name], similarities.negative[names == name])
        for name in np.unique(names)
    }
    measured[ALL_DOMAINS] = measure(similarities.positive, similarities.negative)
    return measured
