"""Which domain a question belongs to, told from its vector, and how sure that is. Needs numpy only.

``cachelora fit-detector`` writes the file; `cachelora.hybrid` takes a domain's own bundle where the domain is clear.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cachelora.errors import DetectorError

__all__ = ["Detected", "DomainDetector"]

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Detected:
    """What was detected.

    Attributes:
        domain: The domain, or None where none is clear enough; then the bundle for all domains is the one to use.
        likeliest: The likeliest domain, clear or not.
        confidence: Its probability, 0 to 1.
    """

    domain: str | None
    likeliest: str
    confidence: float


@dataclass(frozen=True)
class DomainDetector:
    """A multinomial logistic regression on the vectors of one bundle.

    Attributes:
        fingerprint: Of the bundle whose vectors it reads; it knows nothing of any other's.
        domains: Their names.
        weights: float64, (domains, dimension).
        biases: float64, (domains,).
        least_confidence: The probability from which on a domain counts as clear.
    """

    fingerprint: str
    domains: tuple[str, ...]
    weights: NDArray[np.float64]
    biases: NDArray[np.float64]
    least_confidence: float

    @classmethod
    def open(cls, path: str | PathLike[str]) -> Self:
        """Read a detector.

        Raises:
            DetectorError: the file is missing, or not of the expected form.
        """
        place = Path(path)
        try:
            content: Any = json.loads(place.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DetectorError(f"{place}: can't be read: {error}") from error
        version = content.get("schema_version") if isinstance(content, dict) else None
        if version != SCHEMA:
            raise DetectorError(
                f"{place}: schema_version {SCHEMA} was expected, found {version!r}; `cachelora fit-detector` writes one"
            )
        try:
            found = cls(
                fingerprint=str(content["fingerprint"]),
                domains=tuple(str(name) for name in content["domains"]),
                weights=np.array(content["weights"], dtype=np.float64),
                biases=np.array(content["biases"], dtype=np.float64),
                least_confidence=float(content["least_confidence"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DetectorError(f"{place}: {type(error).__name__}: {error}") from error
        if (
            len(found.domains) < 2
            or found.weights.shape != (len(found.domains), found.weights.shape[-1])
            or found.biases.shape != (len(found.domains),)
            or not (np.isfinite(found.weights).all() and np.isfinite(found.biases).all())
        ):
            raise DetectorError(f"{place}: one finite row of weights and one bias for each of two or more domains")
        return found

    def detect(self, vectors: NDArray[np.float32] | Sequence[NDArray[np.float32]]) -> list[Detected]:
        """Return the domain of each question.

        Args:
            vectors: (questions, dimension), of the bundle with this detector's fingerprint.

        Raises:
            DetectorError: the vectors have another dimension.
        """
        probabilities = self.probabilities(np.asarray(vectors, dtype=np.float64))
        best = probabilities.argmax(axis=1)
        return [
            Detected(
                self.domains[index] if probabilities[row, index] >= self.least_confidence else None,
                self.domains[index],
                float(probabilities[row, index]),
            )
            for row, index in enumerate(best)
        ]

    def probabilities(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of each domain: (questions, domains), rows of sum 1."""
        if vectors.ndim != 2 or vectors.shape[1] != self.weights.shape[1]:
            raise DetectorError(f"vectors are {vectors.shape}, (questions, {self.weights.shape[1]}) was expected")
        logits = vectors @ self.weights.T + self.biases
        # The largest is taken off, so that no exponential overflows.
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        result: NDArray[np.float64] = raised / raised.sum(axis=1, keepdims=True)
        return result
