from __future__ import annotations

import json

import numpy as np
import pytest
from cachelora.cli import main
from cachelora_training.errors import RowsError
from cachelora_training.evaluate import evaluate_models
from cachelora_training.evaluate.figures import Settings, compared_groups, curve
from cachelora_training.evaluate.overlap import word_overlap
from cachelora_training.evaluate.pairs import read_pairs
from cachelora_training.evaluate.resampling import resampled_figures, weighted_figures
from cachelora_training.evaluate.results import remarks
from cachelora_training.evaluate.significance import compare_models, holm, p_value, resamples_needed
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

# Few levels, so that scores are often equal.
SCORED = st.lists(st.tuples(st.integers(-4, 4), st.integers(0, 1), st.integers(0, 3)), min_size=2, max_size=40).filter(
    lambda rows: all(any(label == wanted and weight for _, label, weight in rows) for wanted in (0, 1))
)


def columns(rows):
    scores, labels, weights = zip(*rows, strict=True)
    return np.array(scores) / 4, np.array(labels, dtype=np.int8), np.array(weights, dtype=np.float64)


@given(SCORED)
def test_weighted_figures_are_those_of_repeated_pairs(rows):
    scores, labels, weights = columns(rows)
    found = {key: value[0] for key, value in weighted_figures(scores, labels, weights[None, :], (0.25,)).items()}
    times = weights.astype(int)
    s, y = np.repeat(scores, times), np.repeat(labels, times)
    assert found["margin"] == pytest.approx(s[y == 1].mean() - s[y == 0].mean())
    assert found["roc_auc"] == pytest.approx(roc_auc_score(y, s))
    assert found["average_precision"] == pytest.approx(average_precision_score(y, s))
    reached = [(s >= t).mean() for t in np.unique(s)[::-1]]
    precision = [y[s >= t].mean() for t in np.unique(s)[::-1]]
    assert found["curve_area"] == pytest.approx(np.sum(np.diff([0, *reached]) * precision))
    allowed = [t for t in np.unique(s) if (s[y == 0] >= t).mean() <= 0.25]
    best = (s[y == 1] >= min(allowed)).mean() if allowed else 0
    assert found["hit_rate_at_0.25"] == pytest.approx(best)


@given(SCORED)
def test_the_curve_counts_what_reaches_each_threshold(rows):
    scores, labels, _ = columns(rows)
    found = curve(scores, labels)
    for place in (0, 25, 50, 100):
        reached = scores >= found["threshold"][place]
        assert found["cache_hit_ratio"][place] == pytest.approx(reached.mean())
        assert found["precision"][place] == (pytest.approx(labels[reached].mean()) if reached.any() else None)
    assert found["hit_rate"] == sorted(found["hit_rate"], reverse=True)


def test_the_interval_covers_the_truth_at_its_rate():
    """Anchors give correlated pairs; an interval over pairs instead of anchors would be too narrow to pass."""
    generator = np.random.default_rng(5)
    anchors = np.repeat(np.arange(40), 6)
    label = np.tile([1, 1, 1, 0, 0, 0], 40).astype(np.int8)
    covered, trials = 0, 200
    for trial in range(trials):
        # What an anchor adds to its positives, once for all three of them.
        shift = np.repeat(generator.normal(0.3, 0.2, 40), 6) * label
        scores = shift + generator.normal(0, 0.05, 240)
        values = resampled_figures(scores, label, anchors, false_hit_rates=(), seed=trial, name="all", resamples=200)[
            "margin"
        ]
        low, high = np.quantile(values, [0.025, 0.975])
        covered += low <= 0.3 <= high
    assert covered / trials >= 0.9


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_laws_of_holm(values):
    adjusted = holm(values)
    assert all(a >= v and a <= 1 for a, v in zip(adjusted, values, strict=True))
    order = np.argsort(values, kind="stable")
    assert sorted(adjusted) == [adjusted[place] for place in order]
    assert min(adjusted) == pytest.approx(min(1, len(values) * min(values)))


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_no_difference_is_rarely_significant_and_a_clear_one_is():
    generator = np.random.default_rng(1)
    claims = 0
    for _ in range(200):
        data = generator.normal(0, 1, 60)
        means = data[generator.integers(0, 60, (400, 60))].mean(axis=1)
        claims += p_value(means) <= 0.05
    # The percentile bootstrap of 60 rows is a little bold; twice the level would be a defect.
    assert claims / 200 <= 0.1
    assert p_value(generator.normal(1, 0.1, 999)) == pytest.approx(0.002)
    assert resamples_needed(18, 0.95) == 1440


def test_equal_models_do_not_differ():
    values = {"all": {"margin": np.array([0.1, 0.2])}}
    figures = {"all": {"margin": 0.15}}
    (one,) = compare_models({"a": figures, "b": figures}, {"a": values, "b": values}, confidence=0.95)
    assert one["difference"] == 0
    assert one["p_value"] == 1
    assert not one["significant"]


def test_rows_of_every_form(write, rows):
    mixed = [
        *rows(2),
        {"anchor": "is it safe", "positive": "can it hurt"},
        {"a": "rent law", "b": "law of rent", "label": 1, "domain": "law"},
        {"a": "rent law", "b": "lease law", "label": 0, "kind": "entity", "domain": "law"},
        {"a": "rent law", "b": "court law", "label": None},
        *(
            {"query": f"{text} my file", "intent": intent}
            for text, intent in (("copy", "cp"), ("duplicate", "cp"), ("remove", "rm"), ("delete", "rm"))
        ),
    ]
    pairs = read_pairs([write("mixed.jsonl", mixed)])
    assert pairs.counts == {"triplets": 2, "labelled_pairs": 3, "intent_rows": 4, "unlabelled": 1}
    assert len(pairs) == 2 * 2 + 3 + 4 * 2
    assert len(pairs.rows) == 10
    # The same question is one anchor wherever it stands.
    assert pairs.anchor[5] == pairs.anchor[6]
    for first, second, label in zip(pairs.first[-8:], pairs.second[-8:], pairs.label[-8:], strict=True):
        same = {first, second} in ({"copy my file", "duplicate my file"}, {"remove my file", "delete my file"})
        assert same == bool(label)


def test_bad_rows_are_named(write):
    bad = [{"a": "x", "b": "y"}, {"query": "", "intent": "i"}, {"query": "q", "intent": ["i"]}]
    with pytest.raises(RowsError) as caught:
        read_pairs([write("bad.jsonl", bad)])
    for expected in ("bad.jsonl:1: label", "bad.jsonl:2: query", "bad.jsonl:3: intent"):
        assert expected in str(caught.value)
    with pytest.raises(RowsError, match="no two questions"):
        read_pairs([write("alone.jsonl", [{"query": "q", "intent": "i"}])])


def test_overlap_solves_what_it_solves(write):
    rows = [
        {"anchor": "reset my password", "positive": "reset the password", "negative": "card refund"},
        {"anchor": "reset my password", "positive": "new login secret", "negative": "reset my card"},
    ]
    pairs = read_pairs([write("rows.jsonl", rows)])
    assert pairs.solved.tolist() == [True, True, False, False]
    assert word_overlap(["Reset, my password!"], ["my PASSWORD reset"]).tolist() == [1.0]


@pytest.fixture(scope="module")
def test_file(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("data") / "test.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(24)))
    return str(path)


def test_models_of_every_role_in_one_document(base, adapter, bundle, test_file):
    def measured():
        return evaluate_models(
            str(base), [str(adapter)], [test_file], bundles=[bundle], settings=Settings(seed=3, resamples=200)
        )

    facts = measured()
    assert [model["role"] for model in facts["models"]] == ["base", "adapter", "bundle"]
    assert facts["base"]["by_domain"] == facts["models"][0]["by_domain"]
    assert facts["adapter"]["by_domain"]["all"]["triplets"] == 24
    assert set(facts["adapter"]["by_kind"]) == {"entity", "all"}
    assert facts["test_data"][0]["rows"] == 24
    for model in facts["models"]:
        assert len(model["cosines"]) == len(facts["pairs"]["label"]) == 48
        found = model["by_domain"]["all"]
        cosines, label = np.array(model["cosines"]), np.array(facts["pairs"]["label"])
        assert found["margin"] == pytest.approx(cosines[label == 1].mean() - cosines[label == 0].mean(), abs=1e-9)
        assert found["margin_interval"][0] <= found["margin"] <= found["margin_interval"][1]
        at = found["hits"]["0.05"]
        assert at["false_hit_rate"] <= 0.05
        assert at["hit_rate"] == pytest.approx((cosines[label == 1] >= at["threshold"]).mean())
    # Every two models, every domain and all together, three measures.
    assert len(facts["comparisons"]) == 3 * 3 * 3
    # The same seed gives the same figures; only the clock differs.
    again = measured()
    for one, other in zip(facts["models"], again["models"], strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
    assert again["comparisons"] == facts["comparisons"]
    json.dumps(facts, allow_nan=False)


def test_a_model_beside_itself_is_no_better(bundle, test_file):
    facts = evaluate_models(None, [], [test_file], bundles=[bundle, bundle])
    assert [model["name"] for model in facts["models"]] == ["bundle", "bundle (2)"]
    assert "base" not in facts
    assert not any(one["significant"] for one in facts["comparisons"])


def test_the_command_writes_what_it_says(bundle, test_file, tmp_path, capsys, monkeypatch):
    output = tmp_path / "results.json"
    arguments = ["--bundle", str(bundle), "--test-file", test_file, "--output", str(output), "--json"]
    monkeypatch.setattr("sys.argv", ["cachelora", "evaluate", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out) == json.loads(output.read_text())


def test_the_only_domain_is_compared_once():
    assert compared_groups({"law": 1, "all": 2}) == ["all"]
    assert compared_groups({"law": 1, "medical": 2, "all": 3}) == ["law", "medical", "all"]


def test_what_makes_figures_mean_less_is_said(write):
    def remarks_of(*rows):
        return remarks(read_pairs([write("rows.jsonl", [{"a": a, "b": b, "label": label} for a, b, label in rows])]))

    assert remarks_of(("one", "two", 1), ("one", "three", 0)) == []
    assert "none of 1 pairs is a near miss" in remarks_of(("one", "two", 1))[0]
    assert "all 1 pairs are near misses" in remarks_of(("one", "two", 0))[0]
    assert remarks_of(("one", "two", 1), ("one", "two", 1), ("a", "b", 0)) == [
        "1 of 3 pairs are repetitions of others; each of them counts"
    ]
