from __future__ import annotations

import numpy as np
import pytest
from cachelora_training.measures import Similarities, measure, measure_by, triplet_similarities
from cachelora_training.rows import Triplet
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays


def cosines(n: int):
    return arrays(np.float32, n, elements=st.floats(-1, 1, width=32))


def test_figures_of_a_small_example():
    found = measure(np.array([0.9, 0.5], dtype=np.float32), np.array([0.6, 0.1], dtype=np.float32))
    assert found.triplets == 2
    assert found.margin == pytest.approx(0.35)
    # Of the four pairs of a positive and a negative, only (0.5, 0.6) is in the wrong order.
    assert found.roc_auc == pytest.approx(0.75)
    assert found.average_precision == pytest.approx((1 / 1 + 2 / 3) / 2)


@given(st.integers(1, 30).flatmap(lambda n: st.tuples(cosines(n), cosines(n))))
def test_laws(pair):
    positive, negative = pair
    found, swapped = measure(positive, negative), measure(negative, positive)
    assert swapped.margin == pytest.approx(-found.margin, abs=1e-6)
    assert swapped.roc_auc == pytest.approx(1 - found.roc_auc, abs=1e-6)
    ordered = (positive[:, None] > negative).mean() + (positive[:, None] == negative).mean() / 2
    assert found.roc_auc == pytest.approx(ordered, abs=1e-6)


def test_sizes_must_agree():
    with pytest.raises(ValueError, match="two equal, non-empty vectors"):
        measure(np.zeros(2, dtype=np.float32), np.zeros(3, dtype=np.float32))


def test_each_text_is_encoded_once_and_vectors_are_normalised():
    asked: list[str] = []

    def encode(texts: list[str]) -> np.ndarray:
        asked.extend(texts)
        return np.array([[len(text), 1.0] for text in texts], dtype=np.float32)

    rows = [Triplet("a", "bb", "ccc"), Triplet("a", "ccc", "bb")]
    found = triplet_similarities(encode, rows)
    assert sorted(asked) == ["a", "bb", "ccc"]
    expected = (np.array([1, 1]) @ np.array([2, 1])) / np.sqrt(2 * 5)
    assert found.positive[0] == pytest.approx(expected)
    assert found.positive[0] == found.negative[1]


def test_groups_and_all():
    similarities = Similarities(
        np.array([0.9, 0.8, 0.1], dtype=np.float32), np.array([0.2, 0.3, 0.4], dtype=np.float32)
    )
    found = measure_by(["law", "law", "medical"], similarities)
    assert {name: one.triplets for name, one in found.items()} == {"law": 2, "medical": 1, "all": 3}
    assert found["medical"].margin == pytest.approx(-0.3)
