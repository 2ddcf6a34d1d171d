"""Margin of a bundle, and of the PyTorch models it was made from."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from cachelora import Embedder
from cachelora.embedder import Backend
from cachelora.terminal import note
from cachelora_training.adapters import load_encoder
from cachelora_training.encoding import encode_function
from cachelora_training.measures import (
    Encode,
    Similarities,
    measure_by,
    triplet_similarities,
)
from cachelora_training.provenance import describe_data
from cachelora_training.rows import Triplet, read_triplets

from cachelora_benchmarks.machine import describe_machine

__all__ = ["measure_margin"]


def measure_margin(
    bundle: Path,
    test_data: Sequence[str],
    *,
    base_model: str | None,
    adapter: str | None,
    backend: Backend = "auto",
) -> dict[str, Any]:
    """Measure the bundle natively, the base model in PyTorch and, where given, the adapter in PyTorch.

    Args:
        bundle: What is served.
        test_data: Test triplets.
        base_model: None takes the bundle's base model.
        adapter: The adapter that was merged into the bundle, to show that serving keeps its margin.
        backend: Which encoder serves the bundle; ``"auto"`` is what users get.

    Returns:
        Per engine the measures of each domain and the seconds of encoding; with an adapter also ``parity``: the
        largest difference of a cosine between the bundle and PyTorch, and the difference of the margins.
    """
    rows = read_triplets(test_data)
    manifest = json.loads((bundle / "cachelora.json").read_text(encoding="utf-8"))
    base = base_model or manifest["base_model"]["id"]
    facts: dict[str, Any] = {
        "machine": describe_machine(),
        "bundle": {
            "fingerprint": manifest["fingerprint"],
            "base_model": manifest["base_model"]["id"],
        },
        "data": describe_data(test_data, rows),
        "triplets": len(rows),
        "engines": {},
    }
    measured: dict[str, Similarities] = {}

    def add(name: str, encode: Encode) -> None:
        note(f"encoding {len(rows)} triplets: {name}")
        start = time.perf_counter()
        measured[name] = triplet_similarities(encode, rows)
        seconds = round(time.perf_counter() - start, 2)
        facts["engines"][name] = {"seconds": seconds, "by_domain": _by_domain(rows, measured[name])}

    add("base model (PyTorch)", encode_function(load_encoder(base)))
    if adapter is not None:
        add("adapter (PyTorch)", encode_function(load_encoder(base, adapter)))
    # As many threads as PyTorch takes by itself, so that seconds can be compared.
    with Embedder(bundle, backend=backend, threads=len(os.sched_getaffinity(0))) as embedder:
        served = f"bundle (cachelora, {embedder.backend})"
        add(served, embedder.encode)
    if adapter is not None:
        native, reference = measured[served], measured["adapter (PyTorch)"]
        differences = np.concatenate([native.positive - reference.positive, native.negative - reference.negative])
        margins = [facts["engines"][name]["by_domain"]["all"]["margin"] for name in (served, "adapter (PyTorch)")]
        facts["parity"] = {
            "max_cosine_difference": float(np.abs(differences).max()),
            "margin_difference": margins[0] - margins[1],
        }
    return facts


def _by_domain(rows: Sequence[Triplet], similarities: Similarities) -> dict[str, Any]:
    return {name: asdict(found) for name, found in measure_by([row.domain for row in rows], similarities).items()}
