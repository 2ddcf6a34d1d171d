"""The `cachelora` command as a user runs it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest


def run(*arguments: object, stdin: str = "", code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "cachelora", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, done.stderr
    return done


def test_help_lists_every_command_without_importing_pytorch():
    said = run("--help").stdout
    for name in (
        "embed",
        "similarity",
        "detect",
        "doctor",
        "serve",
        "pull",
        "push",
        "generate",
        "train",
        "fit-detector",
        "evaluate",
        "calibrate",
        "compare",
        "try",
        "replay",
        "pipeline",
        "export",
        "bench",
        "report",
    ):
        assert name in said
    program = (
        "import sys\nfrom cachelora.application import CommandsOfDistributions, installed_commands\n"
        "for entry in installed_commands().values(): entry.load()\n"
        "heavy = ('torch', 'transformers', 'sklearn', 'onnx', 'huggingface_hub')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
        == "[]"
    )


def test_bad_usage_is_2_and_failure_is_1(tmp_path):
    assert "nonsense" in run("nonsense", code=2).stderr
    run("similarity", code=2)
    said = run("similarity", tmp_path, "a", "b", code=1).stderr
    assert said.startswith("error: ")
    assert "cachelora.json" in said
    assert "Traceback" not in said


def test_embed_reads_arguments_and_stdin(tiny):
    text = "how can i reset my password"
    rows = [json.loads(line) for line in run("embed", tiny.bundle, text).stdout.splitlines()]
    assert rows == [json.loads(line) for line in run("embed", tiny.bundle, stdin=f"{text}\n").stdout.splitlines()]
    (row,) = rows
    assert row["text"] == text
    assert row["tokens"] == 8
    assert row["truncated"] is False
    from cachelora import Embedder

    with Embedder(tiny.bundle) as embedder:
        assert np.array_equal(np.array(row["vector"], dtype=np.float32), embedder.encode(text))


def test_similarity_decides_at_a_calibrated_threshold(tiny):
    facts = json.loads(
        run(
            "similarity",
            tiny.bundle,
            "card refund",
            "card refund",
            "--max-false-hit-rate",
            0.05,
            "--json",
        ).stdout
    )
    assert facts["similarity"] == pytest.approx(1, abs=1e-5)
    assert facts["threshold"] == 0.875
    assert facts["hit"] is True
    assert "0.05" in run("similarity", tiny.bundle, "a", "b", "--max-false-hit-rate", 0.01, code=1).stderr


def test_doctor_says_which_library_and_why(tiny, tmp_path):
    facts = json.loads(run("doctor", tiny.bundle, "--json").stdout)
    assert facts["healthy"] is True
    assert facts["onnxruntime"]["source"] == "Python wheel"
    assert facts["onnxruntime"]["path"] in facts["onnxruntime"]["tried"][-1]
    assert len(facts["bundle"]["fingerprint"]) == 64
    sick = json.loads(run("doctor", "--onnxruntime", tmp_path / "missing.so", "--json", code=1).stdout)
    assert sick["healthy"] is False
    assert "missing.so" in sick["problem"]
    assert "Python wheel" in run("doctor").stdout


def test_doctor_needs_no_onnxruntime_where_the_bundle_does_not(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("CACHELORA_ONNXRUNTIME", str(tmp_path / "missing.so"))
    int8 = tiny.root / "bundle-int8"
    facts = json.loads(run("doctor", int8, "--json").stdout)
    assert facts["healthy"] is True
    assert facts["onnxruntime"] is None
    assert "missing.so" in facts["onnxruntime_problem"]
    assert facts["bundle"]["backend"] == "fused"
    assert facts["bundle"]["kernel"] in ("avx512vnni", "avxvnni", "avx2", "neon", "portable")
    assert f"kernel: {facts['bundle']['kernel']}" in run("doctor", int8).stdout
    for bundle, backend in ((int8, "onnxruntime"), (tiny.bundle, "auto")):
        assert (
            "missing.so" in json.loads(run("doctor", bundle, "--backend", backend, "--json", code=1).stdout)["problem"]
        )


def test_doctor_hashes_what_the_backend_does_not_read(tiny, tmp_path):
    bundle = shutil.copytree(tiny.root / "bundle-int8", tmp_path / "bundle")
    with (bundle / "model.onnx").open("ab") as file:
        file.write(b"more")
    run("similarity", bundle, "a", "b")
    sick = json.loads(run("doctor", bundle, "--json", code=1).stdout)
    assert "model.onnx: size" in sick["problem"]


def test_the_backend_can_be_chosen(tiny):
    int8 = tiny.root / "bundle-int8"
    rows = [
        json.loads(run("embed", int8, "card refund", "--backend", backend).stdout)["vector"]
        for backend in ("auto", "fused", "onnxruntime")
    ]
    assert rows[0] == rows[1] != rows[2]
    namespaces = [
        json.loads(run("doctor", int8, "--backend", backend, "--json").stdout)["bundle"]["fingerprint"]
        for backend in ("auto", "fused", "onnxruntime")
    ]
    assert namespaces[0] == namespaces[1] != namespaces[2]
    assert float(run("similarity", int8, "a", "a", "--backend", "fused").stdout) > 0.999
    assert "int8" in run("embed", tiny.bundle, "a", "--backend", "fused", code=1).stderr
    run("embed", int8, "a", "--backend", "quantum", code=2)
