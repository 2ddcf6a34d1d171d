"""What a detector does with questions whose domains are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from cachelora.detector import DomainDetector
from numpy.typing import NDArray

__all__ = ["measure"]


def measure(detector: DomainDetector, vectors: NDArray[np.float32], domains: Sequence[str]) -> dict[str, Any]:
    """Return, for ``all`` and each domain, how its questions are told.

    Args:
        detector: The detector.
        vectors: (questions, dimension), of its bundle.
        domains: The true domain of each; one that the detector does not know should never be clear.

    Returns:
        By domain ``questions``; ``accuracy``, the share whose likeliest domain is theirs; ``clear``, the share told
        with enough confidence; ``wrong``, the share told so and wrongly; ``confidence``, the mean.
    """
    found = detector.detect(vectors)
    likeliest = np.array([one.likeliest for one in found])
    clear = np.array([one.domain is not None for one in found])
    confidence = np.array([one.confidence for one in found])
    true = np.array(domains)
    right = likeliest == true
    groups = {"all": np.ones(len(found), dtype=bool)} | {name: true == name for name in sorted(set(domains))}
    return {
        name: {
            "questions": int(group.sum()),
            "accuracy": float(right[group].mean()),
            "clear": float(clear[group].mean()),
            "wrong": float((clear & ~right)[group].mean()),
            "confidence": float(confidence[group].mean()),
        }
        for name, group in groups.items()
    }
