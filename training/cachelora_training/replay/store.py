"""The vectors of a cache, and which of them is nearest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["EXACT_UP_TO", "ApproximateStore", "ExactStore", "Store", "open_store"]

Vectors = NDArray[np.float32]
Places = NDArray[np.int64]

# Above this number of entries an approximate index answers sooner than a product with every vector.
EXACT_UP_TO = 20_000
# Numbers in one block of a search, 64 MiB.
BLOCK = 1 << 24
# In half precision near neighbours may change places, so some are fetched and compared again.
CANDIDATES = 8
# So many are added between two moves of the progress display; also how soon Ctrl-C is heard.
ADDED_AT_ONCE = 2048


class Store(Protocol):
    """The first so many of an array of unit vectors, which is not copied: room for more may be filled later."""

    name: str

    def hold(self, count: int, advance: Callable[[int], None] = lambda added: None) -> None:
        """Store the first ``count`` vectors, at least as many as before; ``advance`` hears how many were added."""

    def nearest(self, asked: Vectors) -> tuple[Places, Vectors]:
        """Return the place of the stored vector nearest to each of ``asked``, (n, dimension), and its cosine.

        Both are (n,); the place is -1 and the cosine minus infinity where nothing is stored.
        """


class ExactStore:
    """Compares with every vector."""

    name = "exact"

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors
        self._held = 0

    def hold(self, count: int, advance: Callable[[int], None] = lambda added: None) -> None:
        """Store the first ``count`` vectors."""
        advance(count - self._held)
        self._held = count

    def nearest(self, asked: Vectors) -> tuple[Places, Vectors]:
        """Return place and cosine of the stored vector nearest to each of ``asked``."""
        places, best = _nothing(len(asked))
        if not self._held:
            return places, best
        step = max(1, BLOCK // self._held)
        for start in range(0, len(asked), step):
            cosines = asked[start : start + step] @ self._vectors[: self._held].T
            places[start : start + step] = cosines.argmax(axis=1)
            best[start : start + step] = cosines.max(axis=1)
        return places, best


class ApproximateStore:
    """A graph of neighbours (HNSW, by usearch): finds the nearest vector nearly always.

    The graph holds its own copy in half precision. What it finds is compared again in float32, so that a cosine is the
    number that an exact store gives.
    """

    name = "usearch"

    def __init__(self, vectors: Vectors) -> None:
        from usearch.index import Index

        self._vectors = vectors
        self._index = Index(
            ndim=vectors.shape[1], metric="ip", dtype="f16", connectivity=16, expansion_add=128, expansion_search=128
        )

    def hold(self, count: int, advance: Callable[[int], None] = lambda added: None) -> None:
        """Store the first ``count`` vectors."""
        for start in range(len(self._index), count, ADDED_AT_ONCE):
            end = min(start + ADDED_AT_ONCE, count)
            # One thread: with several, the graph would be another one each time.
            self._index.add(np.arange(start, end, dtype=np.uint64), self._vectors[start:end], threads=1)
            advance(end - start)

    def nearest(self, asked: Vectors) -> tuple[Places, Vectors]:
        """Return place and cosine of the nearest stored vector that the graph leads to."""
        places, best = _nothing(len(asked))
        candidates = min(CANDIDATES, len(self._index))
        if not candidates:
            return places, best
        step = max(1, BLOCK // (candidates * asked.shape[1]))
        for start in range(0, len(asked), step):
            part = asked[start : start + step]
            keys = self._found(part, candidates)
            cosines = np.einsum("nkd,nd->nk", self._vectors[keys], part)
            cosines[keys < 0] = -np.inf
            chosen = cosines.argmax(axis=1)[:, None]
            places[start : start + step] = np.take_along_axis(keys, chosen, axis=1)[:, 0]
            best[start : start + step] = np.take_along_axis(cosines, chosen, axis=1)[:, 0]
        return places, best

    def _found(self, asked: Vectors, candidates: int) -> Places:
        """Return the places of up to so many near vectors each, (n, candidates), -1 where the graph gave fewer."""
        from usearch.index import BatchMatches

        found = self._index.search(asked, candidates, threads=1)
        places = np.full((len(asked), candidates), -1, dtype=np.int64)
        if isinstance(found, BatchMatches):
            real = np.arange(candidates) < np.asarray(found.counts)[:, None]
            places[real] = found.keys[real]
        else:
            # That of one question has no rows.
            places[0, : len(found.keys)] = found.keys
        return places


def _nothing(count: int) -> tuple[Places, Vectors]:
    return np.full(count, -1, dtype=np.int64), np.full(count, -np.inf, dtype=np.float32)


def open_store(vectors: Vectors) -> Store:
    """Return an empty store for up to all of ``vectors``, exact where that is fast enough."""
    return ExactStore(vectors) if len(vectors) <= EXACT_UP_TO else ApproximateStore(vectors)
