"""The vectors of a cache, and which of them is nearest."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["EXACT_UP_TO", "ApproximateStore", "ExactStore", "Store", "open_store"]

Vectors = NDArray[np.float32]

# Above this number of entries an approximate index answers sooner than a product with every vector.
EXACT_UP_TO = 20_000


class Store(Protocol):
    """Unit vectors in the order in which they were added."""

    name: str

    def add(self, vectors: Vectors) -> None:
        """Add vectors, (n, dimension)."""

    def nearest(self, vector: Vectors) -> tuple[int, float] | None:
        """Return place and cosine of the stored vector nearest to ``vector``, (dimension,); None if there is none."""


class ExactStore:
    """Compares with every vector."""

    name = "exact"

    def __init__(self, dimension: int, capacity: int) -> None:
        self._vectors = np.empty((capacity, dimension), dtype=np.float32)
        self._size = 0

    def add(self, vectors: Vectors) -> None:
        """Add vectors, (n, dimension), at most as many as the capacity in all."""
        self._vectors[self._size : self._size + len(vectors)] = vectors
        self._size += len(vectors)

    def nearest(self, vector: Vectors) -> tuple[int, float] | None:
        """Return place and cosine of the nearest stored vector."""
        if not self._size:
            return None
        cosines = self._vectors[: self._size] @ vector
        place = int(cosines.argmax())
        return place, float(cosines[place])


class ApproximateStore:
    """A graph of neighbours (HNSW, by usearch): finds the nearest vector nearly always."""

    name = "usearch"

    def __init__(self, dimension: int) -> None:
        from usearch.index import Index

        self._index = Index(
            ndim=dimension, metric="ip", dtype="f32", connectivity=16, expansion_add=128, expansion_search=128
        )

    def add(self, vectors: Vectors) -> None:
        """Add vectors, (n, dimension)."""
        first = len(self._index)
        self._index.add(np.arange(first, first + len(vectors), dtype=np.uint64), vectors, threads=1)

    def nearest(self, vector: Vectors) -> tuple[int, float] | None:
        """Return place and cosine of the nearest stored vector that the graph leads to."""
        if not len(self._index):
            return None
        found = self._index.search(vector, 1, threads=1)
        # Of inner products, usearch gives the distance 1 - product.
        return int(found.keys[0]), 1.0 - float(found.distances[0])


def open_store(dimension: int, capacity: int) -> Store:
    """Return an empty store that is exact where that is fast enough."""
    return ExactStore(dimension, capacity) if capacity <= EXACT_UP_TO else ApproximateStore(dimension)
