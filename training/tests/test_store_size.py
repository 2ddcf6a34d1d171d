from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from cachelora_training import store_size
from cachelora_training.errors import RowsError
from cachelora_training.store_size import (
    NeighbourModel,
    counts_reaching,
    fit_neighbours,
    nearest_cosines,
    predicted_rate,
    rate_bound,
    threshold_for_store,
)
from cachelora_training.unrelated import read_unrelated
from hypothesis import given, settings
from hypothesis import strategies as st


@given(st.floats(0.01, 5), st.floats(10, 1e5))
@settings(derandomize=True)
def test_the_rate_grows_with_the_store_and_never_faster_than_for_equal_questions(a, b):
    model = NeighbourModel(a, b)
    rates = [model.wrong_rate(entries) for entries in (0, 1, 10, 1000, 1_000_000)]
    assert rates[0] == pytest.approx(0, abs=1e-9)
    # betaln is a difference of large numbers: single digits of 1e-9 are its rounding.
    assert all(low <= high + 1e-8 for low, high in pairwise(rates))
    mean = a / (a + b)
    assert rates[1] == pytest.approx(mean, rel=1e-4, abs=1e-8)
    assert rates[3] <= 1 - (1 - mean) ** 1000 + 1e-6


@pytest.mark.parametrize(("a", "b"), [(0.5, 2000.0), (0.1, 500.0), (3.0, 9000.0)])
def test_a_known_law_is_found_from_a_tenth_and_foretells_ten_times_as_many(a, b):
    generator = np.random.default_rng(1)
    share = generator.beta(a, b, 3000)
    model = fit_neighbours(generator.binomial(1000, share), 1000)
    assert model is not None
    measured = (generator.binomial(10_000, share) > 0).mean()
    assert model.wrong_rate(10_000) == pytest.approx(measured, abs=0.03)
    # The homogeneous formula is what one would write down first; for crowds it is far off.
    if a < 1:
        assert 1 - (1 - share.mean()) ** 10_000 > measured + 0.1


def test_counts_and_nearest_of_real_vectors(monkeypatch):
    generator = np.random.default_rng(2)
    stored, asked = (unit(generator.normal(size=(size, 8))) for size in (400, 90))
    cosines = asked @ stored.T
    counts = counts_reaching(asked, stored, [0.9, 0.5])
    assert (counts == np.array([(cosines >= 0.9).sum(axis=1), (cosines >= 0.5).sum(axis=1)])).all()
    expected = [cosines[:, :size].max(axis=1) for size in (1, 50, 400)]
    for block in (1 << 24, 1000):
        monkeypatch.setattr(store_size, "BLOCK", block)
        assert np.allclose(nearest_cosines(asked, stored, [1, 50, 400]), expected, atol=1e-6)
    assert (nearest_cosines(asked, stored, [0]) == -np.inf).all()


def test_a_fuller_store_needs_a_higher_threshold():
    generator = np.random.default_rng(3)
    stored, asked = (unit(generator.normal(size=(size, 8))) for size in (2000, 300))
    grid = [round(0.995 - 0.005 * step, 3) for step in range(199)]
    chosen = [threshold_for_store(asked, stored, budget=0.1, entries=size, grid=grid) for size in (10, 100, 2000)]
    thresholds = [found[0] for found in chosen if found is not None]
    assert len(thresholds) == 3
    assert thresholds == sorted(thresholds)
    assert thresholds[0] < thresholds[-1]
    reached = nearest_cosines(asked, stored, [2000])[0] >= thresholds[-1]
    assert reached.mean() == pytest.approx(0.1, abs=0.05)
    assert fit_neighbours(np.zeros(5, dtype=np.int64), 10) is None


def test_unrelated_questions_are_distinct_and_unknown(write):
    class Row:
        texts = ("How do I pay?",)
        source = "x:1"

    data = write("crowd.jsonl", [{"query": "how do i pay"}, {"text": "What is rent?"}, {"question": "what is rent"}])
    assert read_unrelated([data], [Row()]) == ["What is rent?"]
    with pytest.raises(RowsError, match="query, text, question, anchor"):
        read_unrelated([write("bad.jsonl", [{"other": 1}])], [])


@given(st.floats(0.05, 3), st.integers(1, 20), st.sampled_from([0.8, 0.95]))
@settings(derandomize=True, max_examples=10, deadline=None)
def test_the_bound_without_a_model_holds_at_the_stated_rate(a, times, confidence):
    generator = np.random.default_rng(6)
    stored, asked, b, trials = 200, 150, 3000.0, 300
    truth = NeighbourModel(a, b).wrong_rate(stored * times)
    broken = sum(
        rate_bound(generator.binomial(stored, generator.beta(a, b, asked)), stored, stored * times, confidence) < truth
        for _ in range(trials)
    )
    allowed = 1 - confidence
    assert broken / trials <= allowed + 4 * np.sqrt(allowed * (1 - allowed) / trials)


def test_few_that_were_reached_are_scaled_and_not_fitted():
    counts = np.zeros(100, dtype=np.int64)
    counts[:4] = 1
    assert fit_neighbours(counts, 50) is None
    assert predicted_rate(counts, 50, 500) == pytest.approx(0.4)
    assert predicted_rate(np.zeros(100, dtype=np.int64), 50, 500) == 0
    assert rate_bound(np.zeros(100, dtype=np.int64), 50, 50, 0.95) == pytest.approx(1 - 0.05 ** (1 / 100))


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
