"""Fitting a detector of domains to the vectors of a bundle.

A multinomial logistic regression with balanced classes. Its regularisation is the one whose probabilities fit best
(log loss) to questions of rows that it was not fitted to, in five parts; these held-out probabilities also say from
which confidence on a domain is right as often as wanted. That is a figure of the given rows: questions of no domain at
all are what a domain such as ``general`` is for, so give rows of it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cachelora import Embedder
from cachelora.detector import SCHEMA, DomainDetector
from cachelora.errors import UsageError
from cachelora.terminal import note
from numpy.typing import NDArray

from cachelora_training.detector.measure import figures, measure
from cachelora_training.directories import write_text_atomically
from cachelora_training.errors import LeakError, OutputExistsError, RowsError
from cachelora_training.examples import Pair, read_examples
from cachelora_training.provenance import describe_data
from cachelora_training.questions import folded, leaks
from cachelora_training.rows import Triplet

__all__ = ["fit_detector", "least_confidence"]

PARTS = 5
# Inverse strengths of the regularisation; vectors are of unit length, so even the last is no free fit.
STRENGTHS = (3.0, 30.0, 300.0)
LEAST_ROWS = 20


def fit_detector(
    bundle: Path,
    data: Sequence[str],
    output: Path,
    *,
    test_data: Sequence[str] = (),
    precision: float = 0.98,
    seed: int = 0,
    force: bool = False,
) -> dict[str, Any]:
    """Fit a detector to rows whose ``domain`` is set, and write it.

    Args:
        bundle: The shared bundle, whose vectors it will read.
        data: Files of rows in any of the forms that training takes.
        output: The JSON file to write.
        test_data: Rows that measure it; none of their questions may be among ``data``.
        precision: The share of the questions told with enough confidence that must be told rightly.
        seed: Of the parts.
        force: Replace an existing output.

    Returns:
        What is in the file besides weights: domains, ``least_confidence``, ``held_out`` and, with test data, ``test``.

    Raises:
        UsageError, OutputExistsError, RowsError, LeakError, and what opening a bundle raises.
    """
    if not 0 < precision < 1:
        raise UsageError(f"precision is {precision}, a share between 0 and 1 was expected")
    if output.exists() and not force:
        raise OutputExistsError(f"{output}: is already there; choose another output or give --force")
    rows = read_examples(data).rows
    tests = read_examples(test_data).rows if test_data else []
    found = leaks(rows, tests)
    if found:
        raise LeakError("\n".join([f"{len(found)} questions are in both --data and --test-data:", *found]))
    counts = Counter(row.domain for row in rows)
    few = [f"{name} has {count}" for name, count in sorted(counts.items()) if count < LEAST_ROWS]
    if len(counts) < 2 or few:
        has = ", ".join(few) or f"all are of {next(iter(counts))}"
        raise RowsError(f"two or more domains with at least {LEAST_ROWS} rows each are needed; {has}")
    names = tuple(sorted(counts))
    with Embedder(bundle) as embedder:
        note(f"encoding the questions of {len(rows) + len(tests)} rows")
        texts, labels, groups = _questions(rows)
        vectors = embedder.encode(texts)
        strength, held_out = _choose(vectors, np.array(labels), groups, seed)
        least = least_confidence(held_out, np.array([names.index(name) for name in labels]), precision)
        weights, biases = _fitted(vectors, np.array(labels), strength)
        detector = DomainDetector(embedder.fingerprint, names, weights, biases, least)
        facts: dict[str, Any] = {
            "schema_version": SCHEMA,
            "fingerprint": detector.fingerprint,
            "domains": list(names),
            "least_confidence": least,
            "precision": precision,
            "regularisation": strength,
            "data": {"fit": describe_data(data, rows), "test": describe_data(test_data, tests)},
            "held_out": _held_out(held_out, labels, names, least),
        }
        if tests:
            test_texts, test_labels, _ = _questions(tests)
            facts["test"] = measure(detector, embedder.encode(test_texts), test_labels) | {
                "together": _together(detector, embedder, tests)
            }
    written = facts | {
        # Six digits move no probability by a thousandth.
        "weights": [[float(f"{value:.6g}") for value in row] for row in weights],
        "biases": [float(f"{value:.6g}") for value in biases],
    }
    write_text_atomically(output, json.dumps(written, ensure_ascii=False) + "\n")
    return facts


def least_confidence(probabilities: NDArray[np.float64], labels: NDArray[np.int64], precision: float) -> float:
    """Return the lowest confidence such that, of the questions from there on, enough are told rightly.

    Args:
        probabilities: (questions, domains), of a model that was not fitted to them.
        labels: (questions,), the true domain's column.
        precision: The share that must be right; at every higher confidence it is, too.

    Returns:
        A probability in hundredths, or a number above 1, which none reaches, if no confidence is enough.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    least = 1.01
    for hundredths in range(99, 0, -1):
        told = confidence >= hundredths / 100
        if not told.any():
            continue
        if right[told].mean() < precision:
            break
        least = hundredths / 100
    return least


def _questions(rows: Sequence[Triplet | Pair]) -> tuple[list[str], list[str], list[int]]:
    """Return each question once, its domain, and a number that rows with a common question share."""
    texts: dict[str, tuple[str, str, int]] = {}
    for number, row in enumerate(rows):
        keys = [folded(text) for text in row.texts]
        group = next((texts[key][2] for key in keys if key in texts), number)
        for key, text in zip(keys, row.texts, strict=True):
            texts.setdefault(key, (text, row.domain, group))
    found = list(texts.values())
    return [one[0] for one in found], [one[1] for one in found], [one[2] for one in found]


def _regression(strength: float, tolerance: float = 1e-4) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, class_weight="balanced", max_iter=1000, tol=tolerance)


def _choose(
    vectors: NDArray[np.float32], labels: NDArray[Any], groups: Sequence[int], seed: int
) -> tuple[float, NDArray[np.float64]]:
    """Return the best regularisation and its probabilities for questions of rows that were held out."""
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    parts = list(StratifiedGroupKFold(PARTS, shuffle=True, random_state=seed).split(vectors, labels, groups))
    tried = {
        strength: cross_val_predict(_regression(strength, 1e-3), vectors, labels, cv=parts, method="predict_proba")
        for strength in STRENGTHS
    }
    best = min(tried, key=lambda strength: log_loss(labels, tried[strength]))
    return best, tried[best]


def _fitted(
    vectors: NDArray[np.float32], labels: NDArray[Any], strength: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights of (domains, dimension) and biases; columns of probabilities are in the names' order."""
    model = _regression(strength).fit(vectors.astype(np.float64), labels)
    weights, biases = model.coef_, model.intercept_
    if len(weights) == 1:
        # Of two domains scikit-learn fits the second's log odds.
        weights, biases = np.vstack([-weights, weights]) / 2, np.concatenate([-biases, biases]) / 2
    return weights, biases


def _held_out(
    probabilities: NDArray[np.float64], labels: Sequence[str], names: Sequence[str], least: float
) -> dict[str, Any]:
    confidence = probabilities.max(axis=1)
    right = np.array(names)[probabilities.argmax(axis=1)] == np.array(labels)
    return figures(right, confidence >= least, confidence)


def _together(detector: DomainDetector, embedder: Embedder, rows: Sequence[Triplet | Pair]) -> float:
    """Return the share of same-answer pairs that go to one place: those that do not can't hit."""
    places = [
        [one.domain for one in detector.detect(embedder.encode([texts[side] for texts in (row.texts for row in rows)]))]
        for side in (0, 1)
    ]
    return float(np.mean([one == other for one, other in zip(*places, strict=True)]))
