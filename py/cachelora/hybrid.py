"""One bundle for all domains, and for some domains one of their own, taken where the domain is clear.

The shared bundle's vector decides. Only a question whose domain has a bundle of its own is encoded a second time.
Vectors of two bundles never meet: each is stored, and searched for, under its fingerprint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cachelora.detector import DomainDetector
from cachelora.embedder import Embedder
from cachelora.errors import DetectorError, UsageError

__all__ = ["HybridEmbedder", "Placed"]


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A question's vector, and where it belongs.

    Attributes:
        vector: float32, (dimension,), unit length, of the bundle that was taken.
        fingerprint: Of that bundle: the namespace of the cache in which the vector is stored and searched for.
        domain: Whose bundle that is; None for the shared one.
        shared: The vector of the shared bundle; the same as ``vector`` where that bundle was taken. Of two wordings of
            one question one may be clear and the other not: a cache that also stores this vector, under
            ``shared_fingerprint``, and looks there second, finds such a pair. False hits then add up over both looks.
        shared_fingerprint: Of the shared bundle.
        likeliest, confidence: What the detector took for the likeliest domain, and its probability.
    """

    vector: NDArray[np.float32]
    fingerprint: str
    domain: str | None
    shared: NDArray[np.float32]
    shared_fingerprint: str
    likeliest: str
    confidence: float


class HybridEmbedder:
    """Detects a question's domain and encodes it with that domain's bundle, or with the shared one.

    Args:
        shared: The bundle for all domains.
        detector: What ``cachelora fit-detector`` wrote for that bundle.
        bundles: Bundles of single domains, by the detector's names; other domains stay with the shared one.
        **options: As :class:`cachelora.Embedder` takes them; they hold for every bundle.

    Raises:
        DetectorError: the detector can't be read, or reads the vectors of another bundle.
        UsageError: a domain is none that the detector knows.
        BundleNotFoundError and others: as :class:`cachelora.Embedder` raises them.
    """

    def __init__(
        self,
        shared: str | PathLike[str],
        detector: str | PathLike[str],
        bundles: Mapping[str, str | PathLike[str]],
        **options: Any,
    ) -> None:
        self._detector = DomainDetector.open(detector)
        unknown = sorted(set(bundles) - set(self._detector.domains))
        if unknown:
            raise UsageError(
                f"bundles for {', '.join(unknown)}: {detector} knows {', '.join(self._detector.domains)} only"
            )
        self._open: dict[str | None, Embedder] = {}
        try:
            self._open[None] = Embedder(shared, **options)
            if self._detector.fingerprint != self._open[None].fingerprint:
                raise DetectorError(
                    f"{detector}: was fitted to the bundle {self._detector.fingerprint}, {shared} is "
                    f"{self._open[None].fingerprint}; run `cachelora fit-detector` for it"
                )
            for domain, bundle in bundles.items():
                self._open[domain] = Embedder(bundle, **options)
        except BaseException:
            self.close()
            raise

    def encode(self, sentences: Sequence[str]) -> list[Placed]:
        """Return the vector of each question with the place where it belongs.

        Raises:
            UsageError: a single text instead of several, or closed.
        """
        if isinstance(sentences, str):
            raise UsageError("sentences is one text, a list was expected")
        if not self._open:
            raise UsageError("the hybrid embedder is closed")
        texts = list(sentences)
        if not texts:
            return []
        shared = self._open[None]
        vectors = shared.encode(texts)
        found = self._detector.detect(vectors)
        places = [one.domain if one.domain in self._open else None for one in found]
        taken = list(vectors)
        for domain in self.domains:
            rows = [row for row, place in enumerate(places) if place == domain]
            # Dimensions may differ: each vector is compared with others of its fingerprint only.
            for row, vector in zip(rows, self._open[domain].encode([texts[row] for row in rows]), strict=True):
                taken[row] = vector
        return [
            Placed(
                taken[row],
                self._open[place].fingerprint,
                place,
                vectors[row],
                shared.fingerprint,
                found[row].likeliest,
                found[row].confidence,
            )
            for row, place in enumerate(places)
        ]

    def threshold(self, placed: Placed, max_false_hit_rate: float) -> float:
        """Return the similarity from which on an answer in the question's namespace may be reused.

        It is that of the domain in its own bundle, of all domains in the shared one; see `Embedder.threshold`.

        Raises:
            NotCalibratedError: this budget was not calibrated there.
        """
        if not self._open:
            raise UsageError("the hybrid embedder is closed")
        return self._open[placed.domain].threshold(placed.domain or "all", max_false_hit_rate)

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains that have a bundle of their own."""
        return tuple(domain for domain in self._open if domain is not None)

    def close(self) -> None:
        """Free all models once the calls in flight are done."""
        for embedder in self._open.values():
            embedder.close()
        self._open = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
