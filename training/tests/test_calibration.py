from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from cachelora.errors import BundleNotFoundError
from cachelora_training.calibrate import record_calibration
from cachelora_training.calibration import GRID, calibrate_threshold, negatives_needed


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
