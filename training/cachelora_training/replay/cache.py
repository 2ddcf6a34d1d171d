"""One replay: a cache that serves the nearest stored answer at a threshold and stores what it misses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cachelora_training.replay.store import Store, open_store
from cachelora_training.replay.traffic import UNRELATED, Traffic

__all__ = ["Neighbours", "Outcome", "neighbours_at_start", "play"]

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Neighbours:
    """The nearest question that was stored at the start, for each asked one in order.

    Attributes:
        place: Its place in the texts, or -1 where nothing was stored, (questions,).
        cosine: Minus infinity where nothing was stored, (questions,).
        index: Which kind of index found it.
    """

    place: NDArray[np.int64]
    cosine: Vectors
    index: str


@dataclass(frozen=True)
class Outcome:
    """What became of each asked question, in order.

    Attributes:
        hit: Whether a stored answer was served.
        right: Whether it was the question's own answer, an unrelated question's own repetition included.
        crowd: Whether a wrong answer came from an unrelated question, not from a labelled one.
        unjudged: Whether an unrelated question was served an unrelated one's answer: nobody knows whether rightly.
        served: The place in the texts of the question whose answer was served, or -1.
    """

    hit: NDArray[np.bool_]
    right: NDArray[np.bool_]
    crowd: NDArray[np.bool_]
    unjudged: NDArray[np.bool_]
    served: NDArray[np.int64]

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """Which questions were served another question's answer, as far as the labels tell."""
        return self.hit & ~self.right & ~self.unjudged


def neighbours_at_start(traffic: Traffic, vectors: Vectors, store: Store) -> Neighbours:
    """Return the nearest of what ``store`` holds, which are the vectors of ``traffic.stored``."""
    distinct, which = np.unique(traffic.asked, return_inverse=True)
    place, cosine = store.nearest(vectors[distinct])
    return Neighbours(np.where(place < 0, -1, traffic.stored.start + place)[which], cosine[which], store.name)


def play(
    traffic: Traffic,
    vectors: Vectors,
    threshold: float,
    at_start: Neighbours,
    *,
    advance: Callable[[], None] = lambda: None,
) -> Outcome:
    """Ask every question of ``traffic`` in order.

    A hit serves the nearest stored question's answer and stores nothing; a miss is answered at the source and stored.

    Args:
        traffic: Questions.
        vectors: Unit vectors of ``traffic.texts``, (texts, dimension).
        threshold: The lowest cosine that is a hit.
        at_start: For each asked question the nearest one that was stored before the first was asked; searched once for
            all thresholds, because a store of a million takes minutes to build.
        advance: Called after each question.
    """
    count = len(traffic.asked)
    missed = np.empty((count, vectors.shape[1]), dtype=np.float32)
    store = open_store(missed)
    held: list[int] = []
    hit, right, crowd, unjudged = (np.zeros(count, dtype=np.bool_) for _ in range(4))
    served = np.full(count, -1, dtype=np.int64)
    for number, text in enumerate(traffic.asked):
        other, cosine = int(at_start.place[number]), at_start.cosine[number]
        places, cosines = store.nearest(vectors[text][None])
        if cosines[0] > cosine:
            other, cosine = held[int(places[0])], cosines[0]
        # In float32, as the encoder's callers compare.
        if cosine >= np.float32(threshold):
            hit[number], served[number] = True, other
            own, theirs = traffic.answer[text], traffic.answer[other]
            right[number] = text == other or (own == theirs != UNRELATED)
            unjudged[number] = not right[number] and own == theirs == UNRELATED
            crowd[number] = not right[number] and not unjudged[number] and theirs == UNRELATED
        else:
            missed[len(held)] = vectors[text]
            held.append(int(text))
            store.hold(len(held))
        advance()
    return Outcome(hit, right, crowd, unjudged, served)
