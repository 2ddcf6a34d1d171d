"""Which answers become triplets. Every refusal has a name and is counted."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from cachelora_training.questions import folded
from cachelora_training.rows import Triplet

__all__ = ["Filters", "meaning_words", "similarity_of_words"]

# Words that carry a question's form, not its meaning. Negations, numbers, prepositions of direction and time, and
# modal verbs are left in: they are what near misses are made of.
FORM_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an the is are was were be been being am do does did have has had i me my mine you your yours we us our he "
        "she it its they them their this that these those and or of in on at what which who whom whose how why when "
        "where please tell explain there so just really actually very much",
    )
)
# Texts whose words agree to this share are the same row for a model.
NEAR_DUPLICATE = 0.85
PERMUTATIONS = 128


def meaning_words(text: str) -> frozenset[str]:
    """Return the lower-cased words and numbers of a text that carry meaning."""
    return frozenset(word for word in re.findall(r"\w+(?:[.,]\d+)?", text.casefold()) if word not in FORM_WORDS)


def similarity_of_words(a: str, b: str) -> float:
    """Return the Jaccard similarity of the meaning words of two texts: 0 to 1, 1 for two texts without any."""
    x, y = meaning_words(a), meaning_words(b)
    return len(x & y) / len(x | y) if x | y else 1.0


class Filters:
    """Decides row after row, remembering what it has let through.

    Args:
        test_rows: Triplets of which no question may come near a row that is let through.
        least_positive: A positive must share at least this share of meaning words with its anchor: below it, a small
            model has usually changed the subject. 0 lets every rewording through.
        most_negative: A negative may share at most this share of meaning words, in other words it must differ in one.
    """

    def __init__(
        self, test_rows: Sequence[Triplet] = (), *, least_positive: float = 0.0, most_negative: float = 0.999
    ) -> None:
        self.least_positive = least_positive
        self.most_negative = most_negative
        self.refused: Counter[str] = Counter()
        self._test = _Sketches()
        for text in dict.fromkeys(text for row in test_rows for text in (row.anchor, row.positive, row.negative)):
            self._test.add([text])
        self._rows = _Sketches()

    def admit(self, anchor: str, positive: str, negative: str) -> bool:
        """Return whether the row may be used; a refusal is counted under its reason."""
        reason = self._reason(anchor, positive, negative)
        if reason is not None:
            self.refused[reason] += 1
            return False
        self._rows.add((anchor, positive, negative))
        return True

    def refuse(self, reason: str) -> None:
        """Count a refusal that was decided elsewhere."""
        self.refused[reason] += 1

    def _reason(self, anchor: str, positive: str, negative: str) -> str | None:
        texts = (anchor, positive, negative)
        keys = [folded(text) for text in texts]
        if not all(keys):
            return "empty"
        if len(set(keys)) < len(keys):
            return "copy"
        if similarity_of_words(anchor, positive) < self.least_positive:
            return "positive shares too few words"
        if similarity_of_words(anchor, negative) > self.most_negative:
            return "negative shares too many words"
        if any(self._test.near([text]) for text in texts):
            return "overlaps the test set"
        if self._rows.near(texts):
            return "near-duplicate"
        return None


class _Sketches:
    """Remembers texts, and finds those whose word pairs agree to NEAR_DUPLICATE."""

    def __init__(self) -> None:
        from datasketch import MinHashLSH

        self._buckets = MinHashLSH(threshold=NEAR_DUPLICATE, num_perm=PERMUTATIONS)
        self._sketches: list[Any] = []

    def add(self, texts: Sequence[str]) -> None:
        sketch = _minhash(texts)
        self._buckets.insert(len(self._sketches), sketch)
        self._sketches.append(sketch)

    def near(self, texts: Sequence[str]) -> bool:
        sketch = _minhash(texts)
        # Buckets also hold texts that are less alike; the sketches themselves tell.
        return any(sketch.jaccard(self._sketches[found]) >= NEAR_DUPLICATE for found in self._buckets.query(sketch))


def _minhash(texts: Iterable[str]) -> Any:
    """Return the MinHash (Broder 1997) of all word pairs of the texts, whole texts kept apart."""
    from datasketch import MinHash

    sketch = MinHash(num_perm=PERMUTATIONS)
    for place, text in enumerate(texts):
        words = ["", *re.findall(r"\w+", text.casefold()), ""]
        for first, second in itertools.pairwise(words):
            sketch.update(f"{place} {first} {second}".encode())
    return sketch
