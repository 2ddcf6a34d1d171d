"""Calibrating a bundle: its own vectors decide, and its manifest records the result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from cachelora import Embedder
from cachelora.errors import BundleInvalidError, BundleNotFoundError, UsageError
from cachelora.terminal import note

from cachelora_training.calibration import calibrate_threshold, negatives_needed
from cachelora_training.directories import write_text_atomically
from cachelora_training.measures import ALL_DOMAINS, triplet_similarities
from cachelora_training.provenance import describe_data
from cachelora_training.rows import read_triplets

__all__ = ["calibrate_bundle"]

CALIBRATION = "calibration.json"
MANIFEST = "cachelora.json"


def calibrate_bundle(
    bundle: Path, data: Sequence[str], *, budgets: Sequence[float], confidence: float
) -> dict[str, Any]:
    """Calibrate thresholds per domain and for all domains together; write them into the bundle.

    The rows must not be those that the adapter was trained on, or the bound means nothing.

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
    rows = read_triplets(data)
    # A run that was killed below may have left a file that the manifest does not describe.
    record_calibration(bundle, None)
    with Embedder(bundle) as embedder:
        note(f"embedding {len(rows)} triplets with {embedder.backend}")
        similarities = triplet_similarities(embedder.encode, rows)
    names = np.array([row.domain for row in rows])
    groups = {str(name): names == name for name in np.unique(names)}
    groups[ALL_DOMAINS] = np.ones(len(rows), dtype=bool)
    domains: dict[str, list[dict[str, Any]]] = {name: [] for name in groups}
    missing: list[dict[str, Any]] = []
    for name, members in groups.items():
        for budget in sorted(budgets):
            found = calibrate_threshold(
                similarities.positive[members],
                similarities.negative[members],
                budget=budget,
                confidence=confidence,
            )
            if found is not None:
                domains[name].append(asdict(found))
                continue
            needed = negatives_needed(budget, confidence)
            count = int(members.sum())
            reason = (
                f"{count} near misses are too few for the claim"
                if count < needed
                else "near misses reach even the highest threshold too often"
            )
            missing.append(
                {
                    "domain": name,
                    "max_false_hit_rate": budget,
                    "reason": reason,
                    "negatives": count,
                    "negatives_needed": needed,
                }
            )
    calibration = {
        "schema_version": "1.0",
        "method": "fixed-sequence exact binomial",
        "confidence": confidence,
        "data": describe_data(data, rows),
        "domains": domains,
        "not_calibrated": missing,
    }
    record_calibration(bundle, calibration)
    return calibration


def record_calibration(bundle: Path, calibration: dict[str, Any] | None) -> None:
    """Write calibration.json and its manifest entry; None takes both away.

    The entry goes first and comes back last, so that a bundle is valid at every moment: without thresholds
    rather than with wrong ones. The fingerprint does not cover them, so a cache keeps its vectors.
    """
    path = bundle / MANIFEST
    if not path.is_file():
        raise BundleNotFoundError(f"{path}: no such file; `cachelora export` writes a bundle")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        files = dict(manifest["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise BundleInvalidError(f"{path}: not a manifest: {error!r}") from error
    if files.pop(CALIBRATION, None) is not None:
        _write_manifest(path, {**manifest, "files": files})
    if calibration is None:
        (bundle / CALIBRATION).unlink(missing_ok=True)
        return
    text = json.dumps(calibration, indent=2, ensure_ascii=False) + "\n"
    write_text_atomically(bundle / CALIBRATION, text)
    encoded = text.encode()
    files[CALIBRATION] = {"size": len(encoded), "sha256": hashlib.sha256(encoded).hexdigest()}
    _write_manifest(path, {**manifest, "files": dict(sorted(files.items()))})


def _write_manifest(path: Path, manifest: dict[str, Any]) -> None:
    write_text_atomically(path, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
