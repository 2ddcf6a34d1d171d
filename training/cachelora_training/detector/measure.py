"""What a detector does with questions whose domains are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from cachelora.detector import DomainDetector
from numpy.typing import NDArray

__all__ = ["figures", "measure"]


def measure(detector: DomainDetector, vectors: NDArray[np.float32], domains: Sequence[str]) -> dict[str, Any]:
    """Return, for ``all`` and each domain, how its questions are told.

    Args:
        detector: The detector.
        vectors: (questions, dimension), of its bundle.
        domains: The true domain of each; one that the detector does not know should never be clear.

    Returns:
        By domain what :func:`figures` says.
    """
    found = detector.detect(vectors)
    likeliest = np.array([one.likeliest for one in found])
    clear = np.array([one.domain is not None for one in found])
    confidence = np.array([one.confidence for one in found])
    true = np.array(domains)
    right = likeliest == true
    groups = {"all": np.ones(len(found), dtype=bool)} | {name: true == name for name in sorted(set(domains))}
    return {name: figures(right[group], clear[group], confidence[group]) for name, group in groups.items()}


def figures(right: NDArray[np.bool_], clear: NDArray[np.bool_], confidence: NDArray[np.float64]) -> dict[str, Any]:
    """Return ``questions`` and four means over them.

    ``accuracy`` is the share whose likeliest domain is theirs, ``clear`` the share told with enough confidence,
    ``wrong`` the share told so and wrongly, ``confidence`` the mean confidence.

    Args:
        right: Whether a question's likeliest domain is its own, (questions,).
        clear: Whether its confidence is enough, (questions,).
        confidence: The likeliest domain's probability, (questions,).
    """
    return {
        "questions": len(right),
        "accuracy": float(right.mean()),
        "clear": float(clear.mean()),
        "wrong": float((clear & ~right).mean()),
        "confidence": float(confidence.mean()),
    }
