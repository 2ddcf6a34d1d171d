from __future__ import annotations

import itertools
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from cachelora import Embedder, HybridEmbedder
from cachelora.detector import DomainDetector
from cachelora.errors import DetectorError, NotCalibratedError, UsageError
from cachelora_training.calibrate import calibrate_bundle
from cachelora_training.detector import fit_detector
from cachelora_training.detector.fit import least_confidence
from cachelora_training.errors import LeakError, OutputExistsError, RowsError
from cachelora_training.rows import read_triplets

# Even a model of random weights tells these apart: words have vectors of their own.
WORDS = {
    "medical": ("fever", "dose", "pain", "child", "drug"),
    "law": ("court", "rent", "lease", "tenant", "law"),
}


def rows_of(domain, start, count):
    """Return rows of which none repeats a question of another."""
    short, long = (list(itertools.permutations(WORDS[domain], length)) for length in (3, 4))
    return [
        {
            "anchor": " ".join(short[n]),
            "positive": " ".join(long[n]),
            "negative": " ".join(long[60 + n]),
            "domain": domain,
        }
        for n in range(start, start + count)
    ]


@pytest.fixture
def fitted(tiny_copy, write, tmp_path):
    data = write("fit.jsonl", [*rows_of("medical", 0, 40), *rows_of("law", 0, 40)])
    tests = write("test.jsonl", [*rows_of("medical", 40, 20), *rows_of("law", 40, 20)])
    facts = fit_detector(tiny_copy, [data], tmp_path / "detector.json", test_data=[tests])
    return tiny_copy, tmp_path / "detector.json", facts, tests


def other_bundle(directory, tests):
    """Return a bundle with another fingerprint, calibrated."""
    copy = shutil.copytree(Path(os.environ["CACHELORA_TEST_TINY"]) / "bundle", directory.with_name("own"))
    calibrate_bundle(copy, [tests], budgets=[0.5], confidence=0.95)
    return copy


def test_it_tells_domains_that_it_was_not_fitted_to(fitted):
    _, _, facts, _ = fitted
    assert facts["domains"] == ["law", "medical"]
    assert facts["test"]["all"]["questions"] == 120
    assert facts["test"]["all"]["accuracy"] > 0.85
    assert facts["test"]["together"] > 0.7
    assert facts["held_out"]["wrong"] <= 0.02 * facts["held_out"]["clear"] + 1e-9


def test_the_file_gives_the_same_as_scikit_learn_would(fitted):
    from sklearn.linear_model import LogisticRegression

    bundle, path, facts, tests = fitted
    detector = DomainDetector.open(path)
    fit = [text for name in ("medical", "law") for row in rows_of(name, 0, 40) for text in list(row.values())[:3]]
    labels = np.repeat(["medical", "law"], 120)
    with Embedder(bundle) as embedder:
        model = LogisticRegression(C=facts["regularisation"], class_weight="balanced", max_iter=1000)
        model.fit(embedder.encode(fit).astype(np.float64), labels)
        vectors = embedder.encode([row.anchor for row in read_triplets([tests])])
    assert list(model.classes_) == list(detector.domains)
    assert detector.probabilities(vectors.astype(np.float64)) == pytest.approx(
        model.predict_proba(vectors.astype(np.float64)), abs=0.02
    )


def test_the_least_confidence_is_that_from_which_on_enough_are_right():
    confidence = np.array([0.95, 0.9, 0.85, 0.8, 0.6])
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    assert least_confidence(probabilities, np.array([0, 0, 0, 1, 0]), 0.9) == pytest.approx(0.81)
    assert least_confidence(probabilities, np.array([0, 0, 0, 1, 0]), 0.7) <= 0.6
    # If the surest is wrong, no confidence is enough.
    assert least_confidence(probabilities, np.array([1, 0, 0, 0, 0]), 0.9) > 1


@pytest.mark.parametrize("names", [("medical",), ("medical", "medical")])
def test_one_domain_or_few_rows_are_refused(tiny_copy, write, tmp_path, names):
    data = write("fit.jsonl", [row for place, name in enumerate(names) for row in rows_of(name, 20 * place, 20)])
    with pytest.raises(RowsError, match="all are of medical"):
        fit_detector(tiny_copy, [data], tmp_path / "d.json")
    data = write("few.jsonl", [*rows_of("medical", 0, 40), *rows_of("law", 0, 3)])
    with pytest.raises(RowsError, match="law has 3"):
        fit_detector(tiny_copy, [data], tmp_path / "d.json")


def test_leaks_and_an_existing_file_are_refused(tiny_copy, write, tmp_path):
    data = write("fit.jsonl", [*rows_of("medical", 0, 40), *rows_of("law", 0, 40)])
    with pytest.raises(LeakError, match="240 questions are in both --data and --test-data"):
        fit_detector(tiny_copy, [data], tmp_path / "d.json", test_data=[data])
    (tmp_path / "d.json").write_text("precious")
    with pytest.raises(OutputExistsError):
        fit_detector(tiny_copy, [data], tmp_path / "d.json")
    assert (tmp_path / "d.json").read_text() == "precious"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 2}, "schema_version 1 was expected, found 2"),
        ({"weights": [[1.0]]}, "one finite row of weights"),
        ({"weights": [[1.0], [2.0, 3.0]]}, "ValueError"),
        ({"biases": [float("nan"), 0.0]}, "one finite row"),
        ({"domains": ["law"]}, "one finite row"),
        ({"least_confidence": None}, "TypeError"),
    ],
)
def test_a_damaged_detector_is_refused(fitted, change, message):
    _, path, _, _ = fitted
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DetectorError, match=message):
        DomainDetector.open(path)


def test_a_missing_detector_or_one_that_is_no_json_is_refused(tmp_path):
    with pytest.raises(DetectorError, match="nowhere"):
        DomainDetector.open(tmp_path / "nowhere.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(DetectorError, match="found None"):
        DomainDetector.open(tmp_path / "list.json")


def test_a_clear_question_goes_to_its_domains_bundle_and_others_stay(fitted):
    bundle, path, _, tests = fitted
    own = other_bundle(bundle, tests)
    medical, law = "fever dose pain", "court rent lease"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"least_confidence": 0.5}))
    with HybridEmbedder(bundle, path, {"medical": own}) as hybrid, Embedder(bundle) as alone, Embedder(own) as domains:
        assert hybrid.domains == ("medical",)
        first, second = hybrid.encode([medical, law])
        assert (first.domain, second.domain) == ("medical", None)
        assert domains.fingerprint != alone.fingerprint
        assert (first.fingerprint, second.fingerprint) == (domains.fingerprint, alone.fingerprint)
        assert second.likeliest == "law"
        assert np.array_equal(first.vector, domains.encode(medical))
        assert np.array_equal(second.vector, alone.encode(law))
        # A cache may look for either question under the shared bundle's fingerprint, too.
        assert np.array_equal(first.shared, alone.encode(medical))
        assert np.array_equal(second.shared, second.vector)
        assert first.shared_fingerprint == second.shared_fingerprint == alone.fingerprint
        assert hybrid.threshold(first, 0.5) == domains.threshold("medical", 0.5)
        with pytest.raises(NotCalibratedError):
            hybrid.threshold(second, 0.123)
        assert hybrid.encode([]) == []
        with pytest.raises(UsageError, match="a list was expected"):
            hybrid.encode(medical)
    with pytest.raises(UsageError, match="closed"):
        hybrid.encode([medical])
    with pytest.raises(UsageError, match="closed"):
        hybrid.threshold(first, 0.5)


def test_an_unclear_question_stays_with_the_shared_bundle(fitted):
    bundle, path, _, tests = fitted
    path.write_text(json.dumps(json.loads(path.read_text()) | {"least_confidence": 1.01}))
    with HybridEmbedder(bundle, path, {"medical": other_bundle(bundle, tests)}) as hybrid:
        (placed,) = hybrid.encode(["fever of the child"])
    assert (placed.domain, placed.likeliest) == (None, "medical")


def test_a_detector_of_another_bundle_is_refused(fitted):
    bundle, path, _, _ = fitted
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fingerprint": "other"}))
    with pytest.raises(DetectorError, match="was fitted to the bundle other"):
        HybridEmbedder(bundle, path, {})


def test_a_bundle_for_an_unknown_domain_is_refused(fitted):
    bundle, path, _, _ = fitted
    with pytest.raises(UsageError, match=r"bundles for cooking: .*law, medical"):
        HybridEmbedder(bundle, path, {"cooking": bundle})
