"""Words in common: what a test shows of an encoder, and what counting words would have shown too."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["best_threshold", "word_overlap", "words_of"]

WORD = re.compile(r"\w+")


def words_of(text: str) -> frozenset[str]:
    """Return the distinct words of a text, in folded case."""
    return frozenset(WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def word_overlap(first: Sequence[str], second: Sequence[str]) -> NDArray[np.float64]:
    """Return the share of words that each two texts have in common (Jaccard), (n,); 0 where neither has a word."""
    known: dict[str, frozenset[str]] = {}

    def words(text: str) -> frozenset[str]:
        if text not in known:
            known[text] = words_of(text)
        return known[text]

    shares = [
        len(words(a) & words(b)) / len(words(a) | words(b)) if words(a) | words(b) else 0.0
        for a, b in zip(first, second, strict=True)
    ]
    return np.array(shares, dtype=np.float64)


def best_threshold(overlap: NDArray[np.float64], label: NDArray[np.int8]) -> float:
    """Return the overlap from which on calling a pair positive is right most often, both labels weighing the same.

    Infinite where one of the labels is missing: then nothing tells the pairs apart.
    """
    from sklearn.metrics import roc_curve

    if len(np.unique(label)) < 2:
        return float("inf")
    false_rate, true_rate, thresholds = roc_curve(label, overlap)
    return float(thresholds[np.argmax(true_rate - false_rate)])
