"""From triplets to a decision through the commands, on a tiny base model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_bundle
from cachelora import Embedder
from cachelora_training.adapters import load_encoder


def cachelora(*arguments: object) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "cachelora", *map(str, arguments), "--json"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr, done.stderr
    facts: dict[str, object] = json.loads(done.stdout)
    return facts


@pytest.fixture(scope="module")
def road(tmp_path_factory) -> Path:
    """Train, evaluate, export and calibrate; return the directory with everything."""
    root = tmp_path_factory.mktemp("road")
    base = tiny_bundle.make_base(root / "base")
    for part, offset in (("train", 0), ("test", 100)):
        rows = [
            {
                "anchor": f"how can i reset my password {number}",
                "positive": f"what is the way to change my password {number}",
                "negative": f"how can i reset my card {number}",
                "domain": "general" if number % 2 else "support",
                "kind": "entity",
            }
            for number in range(offset, offset + 40)
        ]
        (root / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    train = cachelora(
        "train", "--train-data", root / "train.jsonl", "--eval-data", root / "test.jsonl", "--base-model", base,
        "--epochs", 6, "--learning-rate", 0.01, "--batch-size", 8, "--output", root / "adapter",
    )  # fmt: skip
    assert train["after"]["all"]["margin"] > train["before"]["all"]["margin"] + 0.02  # type: ignore[index]
    cachelora(
        "evaluate", "--base-model", base, "--lora-model", root / "adapter", "--test-file", root / "test.jsonl",
        "--output", root / "results.json",
    )  # fmt: skip
    cachelora("export", "--base-model", base, "--adapter", root / "adapter", "--output", root / "bundle")
    cachelora(
        "calibrate",
        root / "bundle",
        "--data",
        root / "test.jsonl",
        "--budget",
        0.1,
        "--budget",
        0.001,
    )
    return root


def test_training_and_evaluation_agree(road):
    trained = json.loads((road / "adapter" / "cachelora_training.json").read_text())
    results = json.loads((road / "results.json").read_text())
    for key, found in (("before", results["base"]), ("after", results["adapter"])):
        assert found["by_domain"]["all"]["margin"] == pytest.approx(trained[key]["all"]["margin"], abs=1e-5)
    assert set(results["adapter"]["by_domain"]) == {"all", "general", "support"}


def test_the_bundle_computes_what_the_adapter_computes(road):
    texts = ["how can i reset my password 7", "what is docker", "a" * 400]
    reference = load_encoder(str(road / "base"), str(road / "adapter"))
    for backend, least in (("onnxruntime", 0.99999), ("auto", 0.99)):
        with Embedder(road / "bundle", backend=backend) as embedder:
            assert embedder.backend == ("fused" if backend == "auto" else backend)
            for text in texts:
                assert embedder.encode(text) @ reference.encode(text, show_progress_bar=False) >= least


def test_the_bundle_decides_at_calibrated_thresholds(road):
    calibration = json.loads((road / "bundle" / "calibration.json").read_text())
    missing = {(entry["domain"], entry["max_false_hit_rate"]) for entry in calibration["not_calibrated"]}
    assert ("all", 0.001) in missing
    assert ("all", 0.1) not in missing
    (found,) = calibration["domains"]["all"]
    with Embedder(road / "bundle") as embedder:
        assert embedder.threshold("all", 0.1) == pytest.approx(found["threshold"])
    assert found["false_hit_rate_upper"] <= 0.1


@pytest.mark.parametrize(("backend", "cosine", "margin"), [("onnxruntime", 1e-4, 1e-5), ("auto", 1e-2, 5e-3)])
def test_bench_margin_sees_the_same_margin_natively(road, backend, cosine, margin):
    facts = cachelora(
        "bench", "margin", road / "bundle", "--test-file", road / "test.jsonl", "--base-model", road / "base",
        "--adapter", road / "adapter", "--backend", backend,
    )  # fmt: skip
    assert facts["parity"]["max_cosine_difference"] < cosine  # type: ignore[index]
    assert abs(facts["parity"]["margin_difference"]) < margin  # type: ignore[index]


def test_bench_latency_times_every_engine(road):
    facts = cachelora(
        "bench",
        "latency",
        road / "bundle",
        "--base-model",
        road / "base",
        "--tokens",
        "8,16",
        "--rounds",
        3,
        "--through-onnxruntime",
    )
    assert facts["onnxruntime_int8_fused_operators"]["Attention"] == 2  # type: ignore[index]
    for count in ("8", "16"):
        engines = facts["latency"][count]  # type: ignore[index]
        assert [name.split()[0] for name in engines] == [
            "sentence-transformers",
            "onnxruntime",
            "onnxruntime",
            "cachelora",
            "cachelora",
            "limit",
        ]
        assert all(0 < engine["p5"] <= engine["median"] <= engine["p95"] for engine in engines.values())
        assert engines["cachelora (fused)"]["times_ours"]["median"] == 1
    assert np.isfinite(facts["runs"])  # type: ignore[arg-type]


def test_bench_throughput_counts_texts_by_threads(road):
    facts = cachelora(
        "bench", "throughput", road / "bundle", "--texts", road / "test.jsonl", "--threads", "1,2", "--rounds", 2
    )
    assert facts["texts"] == 40
    assert facts["backend"] == "fused"
    found = facts["throughput"]
    assert list(found) == ["1", "2"]  # type: ignore[call-overload]
    assert found["1"]["median"] > 0  # type: ignore[index]
    assert found["1"]["times_first"]["median"] == 1  # type: ignore[index]


def test_bench_memory_measures_fresh_processes(road):
    facts = cachelora("bench", "memory", road / "bundle", "--rounds", 2)
    assert facts["backend"] == "fused"
    for state in ("cold", "cached"):
        assert 0 < facts["open_ms"][state]["median"] <= facts["first_vector_ms"][state]["median"]  # type: ignore[index]
    resident = facts["resident_mib"]
    assert 1 < resident["bare"]["all"] < resident["after_first"]["all"] < 200  # type: ignore[index]
    assert all(size is None or size < 8e6 for size in facts["stripped_bytes"].values())  # type: ignore[attr-defined]
