"""One replay: a cache that serves the nearest stored answer at a threshold and stores what it misses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cachelora_training.replay.store import open_store
from cachelora_training.replay.traffic import UNRELATED, Traffic

__all__ = ["Outcome", "play"]


@dataclass(frozen=True)
class Outcome:
    """What became of each asked question, in order.

    Attributes:
        hit: Whether a stored answer was served.
        right: Whether it was the question's own answer, an unrelated question's own repetition included.
        crowd: Whether a wrong answer came from an unrelated question, not from a labelled one.
        unjudged: Whether an unrelated question was served an unrelated one's answer: nobody knows whether rightly.
        served: The place in the texts of the question whose answer was served, or -1.
        index: Which kind of index found the neighbours.
    """

    hit: NDArray[np.bool_]
    right: NDArray[np.bool_]
    crowd: NDArray[np.bool_]
    unjudged: NDArray[np.bool_]
    served: NDArray[np.int64]
    index: str

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """Which questions were served another question's answer, as far as the labels tell."""
        return self.hit & ~self.right & ~self.unjudged


def play(
    traffic: Traffic,
    vectors: NDArray[np.float32],
    threshold: float,
    *,
    advance: Callable[[], None] = lambda: None,
) -> Outcome:
    """Ask every question of ``traffic`` in order.

    A hit serves the nearest stored question's answer and stores nothing; a miss is answered at the source and stored.

    Args:
        traffic: Questions.
        vectors: Unit vectors of ``traffic.texts``, (texts, dimension).
        threshold: The lowest cosine that is a hit.
        advance: Called after each question.
    """
    count = len(traffic.asked)
    store = open_store(vectors.shape[1], len(traffic.stored) + count)
    store.add(vectors[traffic.stored])
    held = list(traffic.stored)
    hit, right, crowd, unjudged = (np.zeros(count, dtype=np.bool_) for _ in range(4))
    served = np.full(count, -1, dtype=np.int64)
    for number, text in enumerate(traffic.asked):
        found = store.nearest(vectors[text])
        # In float32, as the encoder's callers compare.
        if found is not None and np.float32(found[1]) >= np.float32(threshold):
            other = held[found[0]]
            hit[number], served[number] = True, other
            own, theirs = traffic.answer[text], traffic.answer[other]
            right[number] = text == other or (own == theirs != UNRELATED)
            unjudged[number] = not right[number] and own == theirs == UNRELATED
            crowd[number] = not right[number] and not unjudged[number] and theirs == UNRELATED
        else:
            store.add(vectors[text][None])
            held.append(text)
        advance()
    return Outcome(hit, right, crowd, unjudged, served, store.name)
