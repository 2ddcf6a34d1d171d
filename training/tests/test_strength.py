from __future__ import annotations

import json

import numpy as np
import pytest
from cachelora_training.adapters import load_encoder, resolve_adapter
from cachelora_training.bases import resolve_base
from cachelora_training.recipe import Recipe
from cachelora_training.rows import read_triplets
from cachelora_training.strength import choose_strength, scaled
from cachelora_training.train import train_adapter

TEXTS = ["how can i reset my password", "my card is lost", "change the pin"]


def test_a_block_at_another_strength_leaves_the_adapter_as_it_was(base, adapter):
    encoder = load_encoder(resolve_base(str(base)), resolve_adapter(str(adapter)))
    plain = load_encoder(resolve_base(str(base)), None)
    full = encoder.encode(TEXTS)
    with scaled(encoder, 0.0):
        np.testing.assert_allclose(encoder.encode(TEXTS), plain.encode(TEXTS), atol=1e-6)
    with scaled(encoder, 0.5):
        half = encoder.encode(TEXTS)
    assert np.abs(half - full).max() > 1e-4
    np.testing.assert_array_equal(encoder.encode(TEXTS), full)


def test_the_best_strength_that_harms_no_domain_is_chosen(base, adapter, rows, write):
    encoder = load_encoder(resolve_base(str(base)), resolve_adapter(str(adapter)))
    chosen, tried = choose_strength(encoder, read_triplets([write("dev.jsonl", rows(20))]), (0.5, 1.0))
    none, *others = tried
    assert none.value == 0.0
    harmless = [one for one in others if all(m.roc_auc >= none.measures[d].roc_auc for d, m in one.measures.items())]
    assert chosen == max(harmless or others, key=lambda one: one.mean_auc).value


def test_the_choice_is_written_into_alpha(base, rows, write, tmp_path):
    settings = Recipe(base_model=str(base), epochs=2, batch_size=8, learning_rate=0.02)
    train, dev = write("train.jsonl", rows(24)), write("dev.jsonl", rows(12, start=200))
    facts = train_adapter(settings, [train], tmp_path / "adapter", dev_data=[dev])
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["lora_alpha"] == pytest.approx(16 * facts["strength"]["chosen"])
    assert facts["data"]["dev"][0]["rows"] == 12
    # Anyone who loads the directory gets that strength.
    full = train_adapter(settings, [train], tmp_path / "full")
    assert "strength" not in full
    stored = load_encoder(resolve_base(str(base)), resolve_adapter(str(tmp_path / "adapter"))).encode(TEXTS)
    encoder = load_encoder(resolve_base(str(base)), resolve_adapter(str(tmp_path / "full")))
    with scaled(encoder, facts["strength"]["chosen"]):
        np.testing.assert_allclose(encoder.encode(TEXTS), stored, atol=1e-6)
