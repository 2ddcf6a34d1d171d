"""Questions in the order in which users ask them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cachelora_training.replay.answers import Answer

__all__ = ["UNRELATED", "Traffic", "make_traffic"]

UNRELATED = -1

Places = NDArray[np.int64]


@dataclass(frozen=True)
class Traffic:
    """A stream of questions over a list of distinct texts.

    Attributes:
        texts: Every question that may be asked or is stored, once: the labelled ones, then those without a label that
            arrive, then those that are stored.
        answer: For each text the number of its answer; UNRELATED for questions that nobody labelled.
        stored: Places in ``texts`` that the cache holds at the start: unrelated questions only, side by side.
        asked: Places in ``texts`` in order of arrival; a place may come often.
    """

    texts: list[str]
    answer: Places
    stored: slice
    asked: Places


def make_traffic(
    answers: Sequence[Answer],
    unrelated: Sequence[str],
    *,
    entries: int,
    questions: int,
    exponent: float,
    unrelated_share: float,
    seed: int,
) -> Traffic:
    """Return a stream that repeats itself as users do: the k-th most popular answer is asked for like k^-exponent.

    Args:
        answers: Labelled questions; a draw takes an answer by its popularity, then one of its wordings.
        unrelated: Distinct questions without a label.
        entries: How many of them the cache holds at the start.
        questions: How many questions arrive.
        exponent: 0 for equal popularity, near 1 for what traffic looks like.
        unrelated_share: The share of arriving questions that are unrelated and not stored yet; each arrives once.
        seed: Of the draws. Streams of one seed ask the same labelled questions whatever ``entries`` is.

    Raises:
        ValueError: there are fewer unrelated questions than needed.
    """
    generator = np.random.default_rng(seed)
    fresh = generator.random(questions) < unrelated_share
    rank = generator.permutation(len(answers)) + 1
    popularity = rank.astype(np.float64) ** -exponent
    drawn = generator.choice(len(answers), size=questions, p=popularity / popularity.sum())
    wording = generator.random(questions)
    order = generator.permutation(len(unrelated))
    strangers = int(fresh.sum())
    if strangers + entries > len(unrelated):
        raise ValueError(
            f"{entries} stored and {strangers} arriving unrelated questions are needed, there are {len(unrelated)}"
        )
    starts = np.cumsum([0, *(len(answer.questions) for answer in answers)])
    sizes = np.diff(starts)
    asked = starts[drawn] + (wording * sizes[drawn]).astype(np.int64)
    # Arriving strangers are taken from the front and stored ones after them, so that a fuller store holds
    # everything that a less full one does, at the same places.
    first = int(starts[-1])
    asked[fresh] = np.arange(first, first + strangers)
    crowd = [unrelated[place] for place in order[: strangers + entries]]
    return Traffic(
        texts=[text for answer in answers for text in answer.questions] + crowd,
        answer=np.concatenate([np.repeat(np.arange(len(answers)), sizes), np.full(len(crowd), UNRELATED)]).astype(
            np.int64
        ),
        stored=slice(first + strangers, first + strangers + entries),
        asked=asked,
    )
