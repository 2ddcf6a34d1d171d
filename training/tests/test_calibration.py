from __future__ import annotations

import hashlib
import json
import math
from itertools import pairwise

import numpy as np
import pytest
from cachelora import Embedder
from cachelora.errors import BundleInvalidError, BundleNotFoundError, NotCalibratedError, UsageError
from cachelora_training.calibrate import calibrate_bundle, record_calibration
from cachelora_training.calibration import GRID, calibrate_threshold, negatives_needed, without_common_questions
from hypothesis import given, settings
from hypothesis import strategies as st


def test_the_grid_is_fixed_and_falls():
    assert GRID[0] == 0.995
    assert GRID[-1] == 0
    assert all(a > b for a, b in pairwise(GRID))


def test_a_clean_gap_gives_a_threshold_just_above_the_negatives():
    positive = np.full(100, 0.9, dtype=np.float32)
    negative = np.full(100, 0.6, dtype=np.float32)
    found = calibrate_threshold(positive, negative, budget=0.05, confidence=0.95)
    assert found is not None
    assert found.threshold == pytest.approx(0.605)
    assert (found.false_hits, found.hit_rate) == (0, 1.0)
    assert found.false_hit_rate_upper == pytest.approx(1 - 0.05 ** (1 / 100))


def test_too_few_rows_give_no_number():
    needed = negatives_needed(0.01, 0.95)
    assert needed == 299
    for count, possible in ((needed - 1, False), (needed, True)):
        negative = np.zeros(count, dtype=np.float32)
        found = calibrate_threshold(negative, negative, budget=0.01, confidence=0.95)
        assert (found is not None) is possible


def test_near_misses_that_look_identical_give_no_number():
    same = np.ones(500, dtype=np.float32)
    assert calibrate_threshold(same, same, budget=0.05, confidence=0.95) is None


@pytest.mark.parametrize(("budget", "confidence", "count"), [(0.05, 0.9, 120), (0.1, 0.8, 60), (0.02, 0.95, 400)])
def test_the_guarantee_holds_at_the_stated_rate(budget, confidence, count):
    """Negatives are uniform, so a threshold's true false-hit rate is known: 1 - threshold."""
    generator = np.random.default_rng(3)
    trials, broken = 800, 0
    for _ in range(trials):
        negative = generator.random(count).astype(np.float32)
        found = calibrate_threshold(negative, negative, budget=budget, confidence=confidence)
        broken += found is not None and 1 - found.threshold > budget
    # Four standard errors above the stated rate.
    allowed = 1 - confidence
    assert broken / trials <= allowed + 4 * np.sqrt(allowed * (1 - allowed) / trials)
    # And the rule is not merely timid: it uses a good part of the budget.
    assert found is not None
    assert 1 - found.threshold > budget / 5


@given(
    budget=st.sampled_from([0.02, 0.05, 0.1]),
    confidence=st.sampled_from([0.8, 0.9]),
    count=st.integers(60, 300),
    shape=st.tuples(st.floats(0.5, 8), st.floats(0.5, 8)),
    steps=st.sampled_from([0, 10, 50]),
)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_the_guarantee_holds_for_known_distributions(budget, confidence, count, shape, steps):
    """Negatives follow a Beta law, smooth or in few distinct values, so each threshold's true rate is known."""
    generator = np.random.default_rng(5)
    trials, broken = 300, 0
    # The true rate of a threshold, from draws so many that their own error is far below the budget.
    population = quantised(generator.beta(*shape, 200_000), steps)
    grid = np.array(GRID, dtype=np.float32)
    true_rate = 1 - np.searchsorted(np.sort(population), grid) / len(population)
    for _ in range(trials):
        negative = quantised(generator.beta(*shape, count), steps)
        found = calibrate_threshold(negative, negative, budget=budget, confidence=confidence)
        # 2 % of the budget for the error of the population's draws.
        broken += found is not None and true_rate[GRID.index(found.threshold)] > budget * 1.02
    allowed = 1 - confidence
    assert broken / trials <= allowed + 4 * np.sqrt(allowed * (1 - allowed) / trials)


def test_the_simulation_would_notice_a_rule_without_a_guarantee():
    """Taking the lowest threshold whose counted rate fits the budget breaks it in a third of the trials and more."""
    generator = np.random.default_rng(5)
    budget, trials, broken = 0.05, 300, 0
    for _ in range(trials):
        negative = generator.random(200).astype(np.float32)
        kept = [threshold for threshold in GRID if (negative >= np.float32(threshold)).mean() <= budget]
        broken += 1 - min(kept) > budget
    assert broken / trials > 1 / 3


def quantised(values, steps):
    return (np.round(values * steps) / steps if steps else values).astype(np.float32)


# Sixty near misses, each five times: of one anchor, as one near miss of five anchors, or in both directions.
FIVE, ALONE = np.repeat(np.arange(60), 5), 1000 + np.arange(300)
THERE, BACK = FIVE, 1000 + FIVE


@pytest.mark.parametrize(
    ("first", "second"),
    [(FIVE, ALONE), (ALONE, FIVE), (np.where(ALONE % 2, THERE, BACK), np.where(ALONE % 2, BACK, THERE))],
    ids=["one anchor", "one near miss", "both directions"],
)
def test_pairs_with_a_common_question_count_once(first, second):
    """Five near misses that stand and fall together are one draw; counted as five the bound breaks far too often."""
    generator = np.random.default_rng(7)
    budget, confidence, trials = 0.1, 0.9, 400
    broken = {"all": 0, "one": 0}
    for trial in range(trials):
        negative = np.repeat(generator.random(60), 5).astype(np.float32)
        kept = without_common_questions(first, second, trial)
        assert len(kept) == 60
        for name, used in (("all", negative), ("one", negative[kept])):
            found = calibrate_threshold(used, used, budget=budget, confidence=confidence)
            broken[name] += found is not None and 1 - found.threshold > budget
    allowed = 1 - confidence
    limit = allowed + 4 * np.sqrt(allowed * (1 - allowed) / trials)
    assert broken["one"] / trials <= limit < broken["all"] / trials


@given(st.sampled_from([0.01, 0.05, 0.1]), st.sampled_from([0.9, 0.95]), st.floats(0, 0.9))
def test_so_many_near_misses_are_needed(budget, confidence, share):
    rate = share * budget
    needed = negatives_needed(budget, confidence, rate)
    assert needed is not None
    negative = np.zeros(needed, dtype=np.float32)
    negative[: math.ceil(rate * needed)] = 1
    assert calibrate_threshold(negative, negative, budget=budget, confidence=confidence) is not None
    assert negatives_needed(budget, confidence, budget) is None
    assert needed >= negatives_needed(budget, confidence)


def test_a_bundle_is_calibrated_on_triplets_and_labelled_pairs(tiny_copy, write, rows):
    pairs = [{"a": f"my card {n}", "b": f"the law of {n}", "label": n % 2, "domain": "support"} for n in range(80)]
    data = [write("triplets.jsonl", rows(60)), write("pairs.jsonl", pairs)]
    crowd = write("crowd.jsonl", [{"query": f"docker error {n}"} for n in range(50)])
    facts = calibrate_bundle(
        tiny_copy, data, budgets=[0.25, 0.01], confidence=0.9, store_data=[crowd], store_sizes=[100, 10_000]
    )
    assert facts["domains"]["all"] or facts["not_calibrated"]
    lacking = {(row["domain"], row["max_false_hit_rate"]): row for row in facts["not_calibrated"]}
    assert lacking["all", 0.01]["negatives"] == 100
    assert lacking["all", 0.01]["negatives_needed"] is None or lacking["all", 0.01]["negatives_needed"] >= 230
    assert facts["store"]["stored"] == 50
    for found in facts["store"]["sizes"]:
        assert found["threshold"] is None or found["threshold"] >= found["calibrated_threshold"]
    with Embedder(tiny_copy) as embedder:
        for found in facts["domains"]["all"]:
            assert embedder.threshold("all", found["max_false_hit_rate"]) == pytest.approx(found["threshold"])
        with pytest.raises(NotCalibratedError, match="calibrated budgets"):
            embedder.threshold("all", 0.01)
    together = calibrate_bundle(tiny_copy, data, budgets=[0.25], confidence=0.9, simultaneous=True)
    assert together["confidence_of_each_claim"] == pytest.approx(1 - 0.1 / 3)
    # Of one domain, the whole is the same claim.
    alone = calibrate_bundle(tiny_copy, data[1:], budgets=[0.25, 0.5], confidence=0.9, simultaneous=True)
    assert alone["confidence_of_each_claim"] == pytest.approx(1 - 0.1 / 2)


def test_a_domain_without_same_answers_has_a_threshold_and_no_hit_rate(tiny_copy, write):
    """A NaN in its place was written once, and no reader opened the bundle again."""
    rows = [{"a": f"my card {n}", "b": f"the law of {n}", "label": 0} for n in range(80)]
    facts = calibrate_bundle(tiny_copy, [write("apart.jsonl", rows)], budgets=[0.9], confidence=0.9)
    assert [found["hit_rate"] for found in facts["domains"]["all"]] == [None]
    with Embedder(tiny_copy) as embedder:
        assert embedder.threshold("all", 0.9) == pytest.approx(facts["domains"]["all"][0]["threshold"])
    with pytest.raises(ValueError, match="JSON"):
        record_calibration(tiny_copy, {"domains": {"all": [{"hit_rate": math.nan}]}})


def test_what_more_rows_would_not_help_is_said_so(tiny_copy, write):
    # Letter by letter the same to a tokenizer that lowers them, and not the same text.
    rows = [{"a": f"my card {n}", "b": f"MY card {n}", "label": 0} for n in range(20)]
    facts = calibrate_bundle(tiny_copy, [write("same.jsonl", rows)], budgets=[0.05], confidence=0.9)
    for lacking in facts["not_calibrated"]:
        assert lacking["negatives_needed"] is None
        assert lacking["reason"] == "20 of 20 near misses reach even the highest threshold, 0.995"


def test_thresholds_stay_until_there_are_others(tiny_copy, write, rows, monkeypatch):
    before = (tiny_copy / "calibration.json").read_bytes()

    def interrupted(*_):
        raise KeyboardInterrupt

    data = [write("triplets.jsonl", rows(30))]
    with monkeypatch.context() as patched:
        patched.setattr("cachelora_training.calibrate.cosines", interrupted)
        with pytest.raises(KeyboardInterrupt):
            calibrate_bundle(tiny_copy, data, budgets=[0.5], confidence=0.9)
    assert (tiny_copy / "calibration.json").read_bytes() == before
    with Embedder(tiny_copy) as embedder:
        assert embedder.threshold("all", 0.25) > 0


@pytest.mark.parametrize("damage", ["nan", "another", "missing"])
def test_damaged_thresholds_are_calibrated_anew(tiny_copy, write, rows, damage):
    path = tiny_copy / "calibration.json"
    if damage == "nan":
        text = path.read_text().replace('"domains"', '"spoilt": NaN, "domains"').encode()
        path.write_bytes(text)
        manifest = manifest_of(tiny_copy)
        manifest["files"][path.name] = {"size": len(text), "sha256": hashlib.sha256(text).hexdigest()}
        (tiny_copy / "cachelora.json").write_text(json.dumps(manifest))
    elif damage == "another":
        path.write_text("{}")
    else:
        path.unlink()
    with pytest.raises((BundleInvalidError, BundleNotFoundError)):
        Embedder(tiny_copy)
    calibrate_bundle(tiny_copy, [write("triplets.jsonl", rows(30))], budgets=[0.9], confidence=0.9)
    with Embedder(tiny_copy) as embedder:
        assert embedder.threshold("all", 0.9) >= 0


def test_a_near_miss_made_from_intents_counts_in_one_direction(tiny_copy, write):
    """Two intents are one another's near misses, so each of their pairs comes twice."""
    rows = [{"query": f"word{n} of {side}", "intent": f"{n} {side}"} for n in range(30) for side in ("rent", "law")]
    facts = calibrate_bundle(tiny_copy, [write("intents.jsonl", rows)], budgets=[0.99], confidence=0.6)
    assert [found["negatives"] for found in facts["domains"]["all"]] == [30]


def test_a_store_size_needs_questions(tiny_copy, write, rows):
    with pytest.raises(UsageError, match="--store-data"):
        calibrate_bundle(tiny_copy, [write("t.jsonl", rows(3))], budgets=[0.1], confidence=0.9, store_sizes=[10])


def manifest_of(bundle):
    return json.loads((bundle / "cachelora.json").read_text())


def test_recording_keeps_the_bundle_valid_at_every_moment(tmp_path):
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    other = {"size": 1, "sha256": "0" * 64}
    (bundle / "cachelora.json").write_text(json.dumps({"files": {"model.onnx": other}, "fingerprint": "f"}))
    record_calibration(bundle, {"domains": {}})
    manifest = manifest_of(bundle)
    content = (bundle / "calibration.json").read_bytes()
    assert manifest["files"]["calibration.json"]["size"] == len(content)
    assert manifest["fingerprint"] == "f"
    # As if killed after the file was written and before the manifest was.
    (bundle / "calibration.json").write_text("half")
    record_calibration(bundle, None)
    assert manifest_of(bundle)["files"] == {"model.onnx": other}
    assert sorted(path.name for path in bundle.iterdir()) == ["cachelora.json"]


def test_a_directory_without_a_manifest(tmp_path):
    with pytest.raises(BundleNotFoundError, match=r"cachelora\.json"):
        record_calibration(tmp_path, None)
