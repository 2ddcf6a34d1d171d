"""The strength of an adapter: how far to go from the base model to the trained weights, chosen on a dev set.

Interpolating between the weights before and after training often beats both ends (Wortsman et al. 2022). For LoRA it
costs nothing: the update is a product that alpha scales, so the choice is written into the adapter's alpha.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cachelora_training.adapters import transformer_of
from cachelora_training.encoding import encode_function
from cachelora_training.measures import ALL_DOMAINS, Measures, measure_by, triplet_similarities
from cachelora_training.rows import Triplet

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["STRENGTHS", "Strength", "choose_strength", "scaled", "set_alpha"]

STRENGTHS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Strength:
    """One strength and the dev set's measures by domain."""

    value: float
    measures: dict[str, Measures]

    @property
    def mean_auc(self) -> float:
        """The mean ROC-AUC over domains, each of which counts the same."""
        found = [measures.roc_auc for domain, measures in self.measures.items() if domain != ALL_DOMAINS]
        return sum(found) / len(found)


def choose_strength(
    encoder: SentenceTransformer, rows: Sequence[Triplet], strengths: Sequence[float] = STRENGTHS
) -> tuple[float, list[Strength]]:
    """Return the best strength and what was measured at each; the first measured is 0, the base model.

    Best is the highest mean ROC-AUC over domains among those strengths at which no domain falls below the base model.
    If every strength harms a domain, it is the one with the highest mean, so that the table shows what was paid.

    Args:
        encoder: A model with one adapter at full strength; it is left as it was.
        rows: The dev set.
        strengths: What to try, above 0.
    """
    tried: list[Strength] = []
    for value in (0.0, *strengths):
        with scaled(encoder, value):
            similarities = triplet_similarities(encode_function(encoder), rows)
        tried.append(Strength(value, measure_by([row.domain for row in rows], similarities)))
    base, *others = tried
    harmless = [
        one
        for one in others
        if all(found.roc_auc >= base.measures[domain].roc_auc for domain, found in one.measures.items())
    ]
    return max(harmless or others, key=lambda one: one.mean_auc).value, tried


@contextmanager
def scaled(encoder: SentenceTransformer, strength: float) -> Iterator[None]:
    """Run a block with the adapter's update multiplied by ``strength``."""
    from peft.tuners.lora import LoraLayer

    layers = [module for module in transformer_of(encoder).modules() if isinstance(module, LoraLayer)]
    before = [dict(layer.scaling) for layer in layers]
    try:
        for layer in layers:
            for name in layer.scaling:
                layer.scaling[name] *= strength
        yield
    finally:
        for layer, scaling in zip(layers, before, strict=True):
            layer.scaling.update(scaling)


def set_alpha(encoder: SentenceTransformer, strength: float) -> None:
    """Multiply the adapter's alpha by ``strength``, in its configuration and in the layers."""
    from peft.tuners.lora import LoraLayer

    (config,) = transformer_of(encoder).peft_config.values()
    config.lora_alpha = config.lora_alpha * strength
    for module in transformer_of(encoder).modules():
        if isinstance(module, LoraLayer):
            for name in module.scaling:
                module.scaling[name] *= strength
