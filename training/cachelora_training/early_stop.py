"""When to stop training: as soon as a dev set has not improved for a while; the best weights are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from cachelora_training.measures import ALL_DOMAINS, Floats, measure_by, triplet_similarities
from cachelora_training.processes import from_first, is_first
from cachelora_training.rows import Triplet

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

__all__ = ["DevMeasure", "EarlyStop", "trained_weights"]


@dataclass(frozen=True)
class DevMeasure:
    """What the dev set says after a step; means over domains, each of which counts the same."""

    step: int
    roc_auc: float
    margin: float


class EarlyStop:
    """Watches a dev set; the best weights are those with the highest ROC-AUC, of equal ones the highest margin.

    Args:
        rows: The dev set.
        patience: How many measurements in a row may fail to improve before training stops.
    """

    def __init__(self, rows: Sequence[Triplet], patience: int) -> None:
        self.rows = rows
        self.patience = patience
        self.history: list[DevMeasure] = []
        self.weights: dict[str, Tensor] = {}

    @property
    def best(self) -> int:
        """The index of the best measurement, of equal ones the first."""
        return max(range(len(self.history)), key=lambda at: (self.history[at].roc_auc, self.history[at].margin, -at))

    @property
    def is_over(self) -> bool:
        """Whether patience has run out."""
        return bool(self.history) and len(self.history) - 1 - self.best >= self.patience

    def measure(self, step: int, encoder: SentenceTransformer) -> None:
        """Measure the encoder after a step, in the first process for all, and keep its weights if they are the best."""
        values = [0.0, 0.0]
        if is_first():
            was_training = encoder.training
            similarities = triplet_similarities(lambda texts: _encode(encoder, texts), self.rows)
            encoder.train(was_training)
            measured = measure_by([row.domain for row in self.rows], similarities)
            domains = [found for domain, found in measured.items() if domain != ALL_DOMAINS]
            values = [fmean(found.roc_auc for found in domains), fmean(found.margin for found in domains)]
        self.history.append(DevMeasure(step, *from_first(values, encoder.device)))
        if self.best == len(self.history) - 1:
            self.weights = {name: weights.detach().clone() for name, weights in trained_weights(encoder).items()}

    def restore(self, encoder: SentenceTransformer) -> None:
        """Give the encoder the best weights."""
        import torch

        if self.weights:
            with torch.no_grad():
                for name, weights in trained_weights(encoder).items():
                    weights.copy_(self.weights[name])

    def facts(self) -> dict[str, Any]:
        """Return what was measured and which step was best."""
        return {
            "patience": self.patience,
            "stopped_early": self.is_over,
            "best_step": self.history[self.best].step,
            "measured": [asdict(found) for found in self.history],
        }


def trained_weights(encoder: SentenceTransformer) -> dict[str, Tensor]:
    """Return the weights that training changes, by name."""
    return {name: weights for name, weights in encoder.named_parameters() if weights.requires_grad}


def _encode(encoder: SentenceTransformer, texts: list[str]) -> Floats:
    # Without a display of its own: the trainer's is open.
    vectors = encoder.encode(texts, batch_size=64, show_progress_bar=False, convert_to_numpy=True)
    return np.asarray(vectors, dtype=np.float32)
