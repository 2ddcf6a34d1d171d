from __future__ import annotations

import pytest
import tiny_bundle
from cachelora.errors import UsageError
from cachelora_benchmarks.base import write_deeper_base
from sentence_transformers import SentenceTransformer


def test_a_deeper_base_has_the_layers_and_nearly_the_vectors(tmp_path):
    base = tiny_bundle.make_base(tmp_path / "base")
    write_deeper_base(str(base), tmp_path / "deeper", layers=4, max_tokens=64, force=False)
    shallow, deeper = (SentenceTransformer(str(tmp_path / name), device="cpu") for name in ("base", "deeper"))
    assert len(deeper[0].auto_model.encoder.layer) == deeper[0].auto_model.config.num_hidden_layers == 4
    assert deeper.max_seq_length == 64
    a, b = (encoder.encode("how can i reset my password", show_progress_bar=False) for encoder in (shallow, deeper))
    assert a @ b > 0.9
    with pytest.raises(UsageError, match="max_tokens is 4000"):
        write_deeper_base(str(base), tmp_path / "other", layers=4, max_tokens=4000, force=False)
