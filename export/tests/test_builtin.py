"""The embedded base model, exported whole: the figures that the README promises."""

from __future__ import annotations

import numpy as np
from cachelora import Embedder
from cachelora_export import export_bundle
from cachelora_export.parity import texts_of_many_lengths
from cachelora_export.tokenizer import plain_tokenizer
from cachelora_training.adapters import load_encoder


def test_the_native_path_is_pytorch_to_five_nines(tmp_path):
    manifest = export_bundle("builtin:all-MiniLM-L6-v2", None, tmp_path / "bundle")
    assert manifest.max_tokens == 256
    assert manifest.parity["cosine_min"] >= 0.99999
    encoder = load_encoder("builtin:all-MiniLM-L6-v2")
    texts = texts_of_many_lengths(plain_tokenizer(encoder), 128)
    with Embedder(tmp_path / "bundle", backend="onnxruntime") as embedder:
        alone = np.stack([embedder.encode(text) for text in texts])
        together = embedder.encode_with_info(texts)
    assert (together.tokens.min(), together.tokens.max()) == (3, 128)
    assert np.abs(alone - together.vectors).max() <= 1e-6
    reference = np.stack([encoder.encode(text, show_progress_bar=False) for text in texts])
    assert np.einsum("ij,ij->i", reference, alone).min() >= 0.99999

    # The default on the same bundle: int8, and the same bits whatever stands beside a text.
    assert manifest.parity["int8"]["cosine_mean"] >= 0.998
    with Embedder(tmp_path / "bundle") as embedder:
        assert embedder.backend == "fused"
        assert embedder.onnxruntime_path is None
        alone = np.stack([embedder.encode(text) for text in texts])
        assert (embedder.encode(texts) == alone).all()
    cosines = np.einsum("ij,ij->i", reference, alone)
    assert cosines.mean() >= 0.998
    assert cosines.min() >= 0.99
