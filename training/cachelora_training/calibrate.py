"""Calibrating a bundle: its own vectors decide, and its manifest records the result."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from cachelora import Embedder
from cachelora.errors import BundleInvalidError, BundleNotFoundError, UsageError
from cachelora.terminal import note
from numpy.typing import NDArray

from cachelora_training.calibration import GRID, calibrate_threshold, negatives_needed, without_common_questions
from cachelora_training.directories import write_text_atomically
from cachelora_training.evaluate.figures import compared_groups, groups_of
from cachelora_training.evaluate.pairs import cosines, read_pairs
from cachelora_training.evaluate.review import describe_reviews, read_review
from cachelora_training.hashing import sha256_of_file
from cachelora_training.measures import ALL_DOMAINS
from cachelora_training.provenance import describe_data
from cachelora_training.store_size import Vectors, counts_reaching, predicted_rate, rate_bound, threshold_for_store
from cachelora_training.unrelated import describe_stored, read_unrelated

__all__ = ["calibrate_bundle", "record_calibration"]

CALIBRATION = "calibration.json"
MANIFEST = "cachelora.json"


def calibrate_bundle(
    bundle: Path,
    data: Sequence[str],
    *,
    budgets: Sequence[float],
    confidence: float,
    simultaneous: bool = False,
    store_data: Sequence[str] = (),
    store_sizes: Sequence[int] = (),
    reviewed: Sequence[str] = (),
    seed: int = 0,
) -> dict[str, Any]:
    """Calibrate thresholds per domain and for all domains together; write them into the bundle.

    The rows must not be those that the adapter was trained on, or the bound means nothing. Of near
    misses with a question in common one counts, drawn with ``seed``.

    Args:
        bundle: What is calibrated.
        data: Triplets, labelled pairs or intent rows.
        budgets: Highest acceptable shares of near misses that reach the threshold.
        confidence: The probability with which a bound holds.
        simultaneous: Whether all bounds hold together with ``confidence``, instead of each by itself.
        store_data: Questions that share no answer with the rows, as a full cache would hold.
        store_sizes: For how many entries thresholds are also corrected; needs ``store_data``.
        reviewed: Answered reviews (:mod:`cachelora_training.evaluate.review`); pairs with a wrong label are set aside.
        seed: Of the draws.

    Returns:
        The content of calibration.json. A budget for which there are too few rows has no threshold; it is
        listed under ``not_calibrated`` with the number of near misses that it needs.

    Raises:
        UsageError: a budget or the confidence is not between 0 and 1.
        RowsError: the data can't be used.
        BundleNotFoundError, BundleInvalidError: the bundle can't be used.
    """
    for name, value in [("confidence", confidence), *(("budget", budget) for budget in budgets)]:
        if not 0 < value < 1:
            raise UsageError(f"{name} is {value}, a share between 0 and 1 was expected")
    if store_sizes and not store_data:
        raise UsageError("a store size was given without questions to fill the store; --store-data names them")
    pairs = read_pairs(data, seed=seed, judged=read_review(reviewed) if reviewed else None)
    crowd = read_unrelated(store_data, pairs.rows) if store_data else []
    same = pairs.label == 1
    chosen = np.zeros(len(pairs), dtype=bool)
    misses = np.flatnonzero(~same)
    chosen[misses[without_common_questions(pairs.anchor[misses], pairs.partner[misses], seed)]] = True
    _forget_what_does_not_fit(bundle)
    with Embedder(bundle, threads=len(os.sched_getaffinity(0))) as embedder:
        stored_too = f" and {len(crowd)} stored questions" if crowd else ""
        note(f"embedding {len(pairs)} pairs{stored_too} with {embedder.backend}")
        cosine = cosines(embedder.encode, pairs)
        asked = embedder.encode([pairs.first[place] for place in np.flatnonzero(chosen)]) if crowd else None
        stored = embedder.encode(crowd) if crowd else None
    groups = groups_of(pairs, "domain", np.ones(len(pairs), dtype=bool))
    # Where there is one domain, the whole is the same claim once more.
    claims = len(compared_groups(groups)) * len(budgets)
    each = 1 - (1 - confidence) / claims if simultaneous else confidence
    domains: dict[str, list[dict[str, Any]]] = {name: [] for name in groups}
    missing: list[dict[str, Any]] = []
    for name, members in groups.items():
        positive, negative = cosine[members & same], cosine[members & chosen]
        for budget in sorted(budgets):
            found = calibrate_threshold(positive, negative, budget=budget, confidence=each)
            if found is not None:
                domains[name].append(asdict(found))
            else:
                missing.append({"domain": name, **_why_not(negative, budget, each)})
    calibration = {
        "schema_version": "1.0",
        "method": "fixed-sequence exact binomial",
        "confidence": confidence,
        "confidence_of_each_claim": each,
        "seed": seed,
        "data": describe_data(data, pairs.rows),
        **({"reviews": describe_reviews(reviewed), "set_aside": pairs.counts["set_aside"]} if reviewed else {}),
        "domains": domains,
        "not_calibrated": missing,
    }
    if asked is not None and stored is not None:
        calibration["store"] = {
            "data": describe_stored(store_data),
            "questions": len(asked),
            "stored": len(crowd),
            "sizes": [
                entry
                for size in store_sizes
                for found in domains[ALL_DOMAINS]
                for entry in [store_correction(asked, stored, found, size, confidence)]
            ],
        }
    record_calibration(bundle, calibration)
    return calibration


def store_correction(
    asked: Vectors, stored: Vectors, found: dict[str, Any], entries: int, confidence: float
) -> dict[str, Any]:
    """Return what a store of ``entries`` questions does to one calibrated threshold, and one that allows for it.

    ``threshold`` is never below the calibrated one, so that its bound on near misses still holds. It is None where
    even the highest threshold of the grid would be reached too often.
    """
    budget, calibrated = found["max_false_hit_rate"], found["threshold"]
    counts = counts_reaching(asked, stored, [calibrated])[0]
    corrected = threshold_for_store(asked, stored, budget=budget, entries=entries, grid=GRID)
    return {
        "domain": ALL_DOMAINS,
        "max_false_hit_rate": budget,
        "entries": entries,
        "calibrated_threshold": calibrated,
        "predicted_wrong_neighbour_rate": predicted_rate(counts, len(stored), entries),
        "wrong_neighbour_rate_at_most": rate_bound(counts, len(stored), entries, confidence),
        "threshold": None if corrected is None else max(calibrated, corrected[0]),
    }


def _why_not(negative: NDArray[np.float32], budget: float, confidence: float) -> dict[str, Any]:
    """Say why no threshold could be claimed, and how many near misses would be enough."""
    least = negatives_needed(budget, confidence)
    assert least is not None
    reached = int((negative >= np.float32(GRID[0])).sum())
    rate = reached / len(negative) if len(negative) else 0.0
    needed = negatives_needed(budget, confidence, rate)
    # Whether more would help is the first thing to know.
    if needed is not None and len(negative) < least:
        reason = f"{len(negative)} near misses are too few for the claim"
    else:
        reason = f"{reached} of {len(negative)} near misses reach even the highest threshold, {GRID[0]}"
    return {
        "max_false_hit_rate": budget,
        "reason": reason,
        "negatives": len(negative),
        "negatives_needed": needed,
    }


def _forget_what_does_not_fit(bundle: Path) -> None:
    """Take away thresholds that would keep the bundle from being opened: not those of the manifest, or no JSON.

    Those that fit stay until there are others: a bundle in use has thresholds while it is calibrated again, and keeps
    them when that fails.
    """
    recorded = _manifest_of(bundle)["files"].get(CALIBRATION)
    path = bundle / CALIBRATION
    if recorded is None:
        return
    try:
        json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        fits = sha256_of_file(path) == recorded["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        fits = False
    if not fits:
        record_calibration(bundle, None)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def record_calibration(bundle: Path, calibration: dict[str, Any] | None) -> None:
    """Write calibration.json and its manifest entry; None takes both away.

    The entry goes first and comes back last, so that a bundle is valid at every moment: without thresholds
    rather than with wrong ones. The fingerprint does not cover them, so a cache keeps its vectors.
    """
    path = bundle / MANIFEST
    manifest = _manifest_of(bundle)
    files = dict(manifest["files"])
    if files.pop(CALIBRATION, None) is not None:
        _write_manifest(path, {**manifest, "files": files})
    if calibration is None:
        (bundle / CALIBRATION).unlink(missing_ok=True)
        return
    # A NaN is no JSON, and would keep the bundle from being opened.
    text = json.dumps(calibration, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_text_atomically(bundle / CALIBRATION, text)
    encoded = text.encode()
    files[CALIBRATION] = {"size": len(encoded), "sha256": hashlib.sha256(encoded).hexdigest()}
    _write_manifest(path, {**manifest, "files": dict(sorted(files.items()))})


def _manifest_of(bundle: Path) -> dict[str, Any]:
    path = bundle / MANIFEST
    if not path.is_file():
        raise BundleNotFoundError(f"{path}: no such file; `cachelora export` writes a bundle")
    try:
        manifest = dict(json.loads(path.read_text(encoding="utf-8")))
        dict(manifest["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise BundleInvalidError(f"{path}: not a manifest: {error!r}") from error
    return manifest


def _write_manifest(path: Path, manifest: dict[str, Any]) -> None:
    write_text_atomically(path, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
