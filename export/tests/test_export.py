from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
import tiny_bundle
from cachelora import Embedder
from cachelora.errors import BundleCorruptError, BundleNotFoundError
from cachelora_export import bundle as bundles
from cachelora_export import export_bundle, verify_bundle
from cachelora_export.errors import ExportError, ParityError
from cachelora_export.parity import texts_of_many_lengths
from cachelora_export.tokenizer import plain_tokenizer
from cachelora_training.adapters import load_encoder
from cachelora_training.errors import OutputExistsError
from onnx import numpy_helper

TEXTS = ["how can i reset my password", "a", "what is the rent of my lease before the court?"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    base = tiny_bundle.make_base(root / "tiny-base")
    return base, tiny_bundle.make_adapter(base, root / "tiny-lora")


@pytest.fixture(scope="module")
def exported(models, tmp_path_factory):
    base, adapter = models
    output = tmp_path_factory.mktemp("exported") / "bundle"
    return output, export_bundle(str(base), str(adapter), output)


def test_parity_with_the_adapter_that_is_not_merged(exported):
    _, manifest = exported
    parity = manifest.parity
    assert parity["texts"] == 200
    assert (parity["tokens_min"], parity["tokens_max"]) == (3, 128)
    assert parity["cosine_min"] >= 0.99999
    assert parity["max_abs_difference_in_batch"] <= 1e-6
    assert "not merged" in parity["reference"]


def test_the_adapter_is_in_the_bundle(exported, models):
    output, manifest = exported
    base, adapter = models
    text = TEXTS[0]
    with Embedder(output, backend="onnxruntime") as embedder:
        vector = embedder.encode(text)
        probe = manifest.parity["probe"]
        assert embedder.encode(probe["text"]) @ np.array(probe["vector"], dtype=np.float32) >= 0.99999
    assert vector @ load_encoder(str(base), str(adapter)).encode(text, show_progress_bar=False) >= 0.99999
    assert vector @ load_encoder(str(base)).encode(text, show_progress_bar=False) < 0.999


def test_the_manifest(exported, models):
    output, manifest = exported
    base, _ = models
    kept = json.loads((output / "cachelora.json").read_text())
    assert kept == manifest.model_dump(mode="json")
    assert kept["schema_version"] == "1.0"
    assert kept["base_model"]["id"] == "tiny-base"
    assert kept["base_model"]["sha256"] == hashlib.sha256((base / "model.safetensors").read_bytes()).hexdigest()
    assert kept["adapter"]["id"] == "tiny-lora"
    assert (kept["adapter"]["rank"], kept["adapter"]["alpha"]) == (4, 8)
    assert (kept["pooling"], kept["normalize"], kept["max_tokens"], kept["dimension"]) == (
        "mean",
        True,
        128,
        32,
    )
    assert set(kept["files"]) == {"encoder.int8.safetensors", "model.onnx", "tokenizer.json"}
    assert str(base.parent) not in (output / "cachelora.json").read_text()
    with Embedder(output) as embedder:
        assert embedder.fingerprint == kept["fingerprint"]


def test_the_graph_has_one_pooled_output(exported):
    output, _ = exported
    model = onnx.load(str(output / "model.onnx"))
    (vector,) = model.graph.output
    assert vector.name == "sentence_embedding"
    assert vector.type.tensor_type.shape.dim[1].dim_value == 32
    assert [value.name for value in model.graph.input] == ["input_ids", "attention_mask"]


def test_the_tokenizer_neither_pads_nor_truncates(exported):
    output, _ = exported
    tokenizer = json.loads((output / "tokenizer.json").read_text())
    assert tokenizer["padding"] is None
    assert tokenizer["truncation"] is None


def test_two_exports_are_the_same_bytes(exported, models, tmp_path):
    output, _ = exported
    base, adapter = models
    export_bundle(str(base), str(adapter), tmp_path / "again")
    for name in ("cachelora.json", "encoder.int8.safetensors", "model.onnx", "tokenizer.json"):
        assert (output / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_a_broken_graph_is_refused_and_nothing_is_written(models, tmp_path, monkeypatch):
    base, adapter = models
    write_graph = bundles.write_graph

    def write_broken_graph(encoder, path):
        write_graph(encoder, path)
        model = onnx.load(str(path))
        weights = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 2 and min(tensor.dims) >= 32)
        values = numpy_helper.to_array(weights).copy()
        values[:, 0] += 1
        weights.CopyFrom(numpy_helper.from_array(values, weights.name))
        onnx.save_model(model, str(path))

    monkeypatch.setattr(bundles, "write_graph", write_broken_graph)
    with pytest.raises(ParityError, match=r"no bundle was written(.|\n)*The worst of 200 texts"):
        export_bundle(str(base), str(adapter), tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_a_killed_export_leaves_nothing_that_looks_like_a_bundle(models, tmp_path):
    base, _ = models
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom cachelora_export import bundle\n"
        "bundle.measure_parity = lambda *a, **k: os._exit(9)\n"
        "bundle.export_bundle(sys.argv[1], None, Path(sys.argv[2]))\n"
    )
    output = tmp_path / "bundle"
    done = subprocess.run([sys.executable, "-c", program, base, output], capture_output=True, timeout=120)
    assert done.returncode == 9
    assert not output.exists()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".bundle.")
    assert left.suffix == ".partial"
    assert not (left / "cachelora.json").exists()


def test_a_model_without_normalisation_gets_it(tmp_path):
    base = tiny_bundle.make_base(tmp_path / "plain", normalize=False)
    export_bundle(str(base), None, tmp_path / "bundle", parity_texts=TEXTS)
    with Embedder(tmp_path / "bundle") as embedder:
        assert np.abs(np.linalg.norm(embedder.encode(TEXTS), axis=1) - 1).max() < 1e-5


def test_cls_pooling(tmp_path):
    base = tiny_bundle.make_base(tmp_path / "cls", pooling="cls")
    manifest = export_bundle(str(base), None, tmp_path / "bundle", parity_texts=TEXTS)
    assert manifest.pooling == "cls"
    assert manifest.adapter is None
    assert manifest.parity["cosine_min"] >= 0.99999


def test_an_output_is_not_overwritten_unless_forced(exported, models, tmp_path):
    base, _ = models
    output = shutil.copytree(exported[0], tmp_path / "bundle")
    with pytest.raises(OutputExistsError, match="--force"):
        export_bundle(str(base), None, output, parity_texts=TEXTS)
    assert verify_bundle(output).adapter is not None
    export_bundle(str(base), None, output, parity_texts=TEXTS, force=True)
    assert verify_bundle(output).adapter is None
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_an_untrained_adapter_is_refused(models, tmp_path):
    from safetensors.numpy import load_file, save_file

    base, adapter = models
    untrained = shutil.copytree(adapter, tmp_path / "untrained")
    weights = load_file(untrained / "adapter_model.safetensors")
    save_file(
        {name: value * ("lora_A" in name) for name, value in weights.items()},
        untrained / "adapter_model.safetensors",
    )
    with pytest.raises(ExportError, match="changes no weight"):
        export_bundle(str(base), str(untrained), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_verify_names_what_differs(exported, tmp_path):
    with pytest.raises(BundleNotFoundError, match="nowhere"):
        verify_bundle(tmp_path / "nowhere")
    output = shutil.copytree(exported[0], tmp_path / "bundle")
    with (output / "tokenizer.json").open("a") as file:
        file.write(" ")
    with pytest.raises(BundleCorruptError, match=r"tokenizer\.json"):
        verify_bundle(output)


def test_parity_texts_climb_evenly():
    tokenizer = plain_tokenizer_of_tiny()
    texts = texts_of_many_lengths(tokenizer, 64)
    lengths = [len(tokenizer.encode(text).ids) for text in texts]
    assert len(set(texts)) == 200
    assert (min(lengths), max(lengths)) == (3, 64)
    assert np.corrcoef(lengths, range(200))[0, 1] > 0.99


def plain_tokenizer_of_tiny():
    class Encoder:
        tokenizer = tiny_bundle.tiny_tokenizer()

    return plain_tokenizer(Encoder())
