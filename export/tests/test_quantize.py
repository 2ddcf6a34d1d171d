from __future__ import annotations

import json

import numpy as np
import pytest
import tiny_bundle
import torch
from cachelora_export.errors import ExportError
from cachelora_export.quantize import pack, quantize_encoder, quantize_rows, smoothing_factors
from safetensors import safe_open
from transformers import BertConfig, BertModel


def model(**changes):
    torch.manual_seed(3)
    sizes = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    return BertModel(BertConfig(**{**sizes, "intermediate_size": 64, "max_position_embeddings": 40, **changes})).eval()


def test_rows_come_back_within_half_a_step():
    rows = np.random.default_rng(1).normal(size=(48, 32)).astype(np.float32)
    rows[5] = 0
    integers, scales = quantize_rows(rows)
    assert integers.min() >= -127
    assert scales[5] == 0
    assert (np.abs(integers * scales[:, None] - rows) <= scales[:, None] / 2 + 1e-7).all()


def test_packing_puts_16_outputs_by_4_inputs_into_64_bytes():
    matrix = np.arange(32 * 8).reshape(32, 8).astype(np.int8)
    packed = pack(matrix)
    assert packed.shape == (2, 2, 16, 4)
    assert all(packed[b, k, c, j] == matrix[16 * b + c, 4 * k + j] for b, k, c, j in np.ndindex(packed.shape))


def test_smoothing_changes_no_product():
    generator = np.random.default_rng(2)
    weights, inputs = generator.normal(size=(8, 16)), generator.normal(size=16) * np.geomspace(0.1, 50, 16)
    factors = smoothing_factors(weights, np.abs(inputs))
    assert np.allclose((weights / factors) @ (inputs * factors), weights @ inputs)
    smoothed = np.abs(inputs * factors)
    assert smoothed.max() / np.median(smoothed) < np.abs(inputs).max() / np.median(np.abs(inputs))


def test_packed_weights_begin_at_multiples_of_64_bytes(tmp_path):
    path = tmp_path / "encoder.int8.safetensors"
    quantize_encoder(model(), path, calibration=[[1, 2, 3], [4, 5]])
    header_size = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(path.read_bytes()[8 : 8 + header_size])
    packed = [entry for entry in header.values() if len(entry.get("shape", ())) == 4]
    assert len(packed) == 8
    assert all((8 + header_size + entry["data_offsets"][0]) % 64 == 0 for entry in packed)
    with safe_open(path, framework="np") as file:
        assert file.get_tensor("layers.1.widen.smooth").shape == (32,)
        assert set(file.metadata()) == {"cachelora_encoder"}


def test_two_files_are_the_same_bytes(tmp_path):
    base = tiny_bundle.make_base(tmp_path / "base")
    for name in ("a", "b"):
        quantize_encoder(base, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("changes", "pooling", "expected"),
    [
        ({"hidden_act": "relu"}, "mean", "hidden_act"),
        ({"hidden_size": 24, "num_attention_heads": 3}, "mean", "multiple of 16"),
        ({"num_attention_heads": 8}, "mean", "head size 32 / 8"),
        ({}, "max", "pooling is max"),
    ],
)
def test_other_architectures_are_named(tmp_path, changes, pooling, expected):
    with pytest.raises(ExportError, match=expected):
        quantize_encoder(model(**changes), tmp_path / "file", pooling=pooling)
    assert not (tmp_path / "file").exists()
