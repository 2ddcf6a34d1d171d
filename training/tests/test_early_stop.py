from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
from cachelora_training.bases import resolve_base
from cachelora_training.early_stop import DevMeasure, EarlyStop, trained_weights
from cachelora_training.encoding import encode_function
from cachelora_training.errors import RecipeError, TensorBoardError
from cachelora_training.examples import read_examples
from cachelora_training.measures import ALL_DOMAINS, measure_by, triplet_similarities
from cachelora_training.recipe import Recipe
from cachelora_training.rows import read_triplets
from cachelora_training.train import new_adapter, train_adapter, train_encoder


def settings(base, **changes):
    changes = {"epochs": 20, "batch_size": 8, "learning_rate": 0.01, "checkpoint_steps": 2} | changes
    return Recipe(base_model=str(base), **changes)


def contrary(rows):
    """Return a dev set that learning what ``rows`` teach makes worse: near misses and answers have changed places."""
    return [row | {"positive": row["negative"], "negative": row["positive"]} for row in rows(16, start=300)]


def test_the_best_of_equal_measurements_is_the_first_and_auc_comes_before_margin():
    stop = EarlyStop([], patience=2)
    for step, auc, margin in ((1, 0.8, 0.1), (2, 0.9, 0.1), (3, 0.9, 0.2)):
        stop.history.append(DevMeasure(step, auc, margin))
        assert stop.best == len(stop.history) - 1
    stop.history.append(DevMeasure(4, 0.9, 0.2))
    assert stop.best == 2
    assert not stop.is_over
    stop.history.append(DevMeasure(5, 0.85, 0.9))
    assert stop.best == 2
    assert stop.is_over


def test_training_stops_and_keeps_the_best_weights(base, rows, write):
    examples = read_examples([write("train.jsonl", rows(32))])
    dev = read_triplets([write("dev.jsonl", contrary(rows))])
    recipe = settings(base)
    encoder = new_adapter(resolve_base(str(base)), recipe)
    stop = EarlyStop(dev, patience=3)
    losses = train_encoder(encoder, examples, recipe, early_stop=stop)
    assert stop.is_over
    assert stop.history[-1].step < 80
    assert len(losses) < 10
    assert stop.best == len(stop.history) - 1 - 3
    # The encoder has the weights of the best step, not of the last.
    similarities = triplet_similarities(encode_function(encoder), dev)
    by_domain = measure_by([row.domain for row in dev], similarities)
    found = [measures.roc_auc for domain, measures in by_domain.items() if domain != ALL_DOMAINS]
    assert np.mean(found) == pytest.approx(stop.history[stop.best].roc_auc, abs=1e-6)
    assert stop.history[stop.best] != stop.history[-1]
    assert trained_weights(encoder).keys() == stop.weights.keys()


def test_an_interrupted_run_that_had_stopped_stays_stopped(base, rows, write, tmp_path):
    train, dev = write("train.jsonl", rows(32)), write("dev.jsonl", contrary(rows))
    recipe = settings(base, patience=3)
    whole = train_adapter(recipe, [train], tmp_path / "whole", dev_data=[dev])
    assert whole["early_stop"]["stopped_early"]
    (tmp_path / "parent").write_text("a file where the output's directory should be")
    with pytest.raises(OSError, match="parent"):
        train_adapter(
            recipe, [train], tmp_path / "parent" / "out", dev_data=[dev], checkpoints=tmp_path / "out.checkpoints"
        )
    again = train_adapter(recipe, [train], tmp_path / "out", dev_data=[dev])
    assert (again["early_stop"], again["loss"]) == (whole["early_stop"], whole["loss"])
    name = "adapter_model.safetensors"
    assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_patience_needs_a_dev_set(base, rows, write, tmp_path):
    with pytest.raises(RecipeError, match="--dev-data"):
        train_adapter(settings(base, patience=1), [write("train.jsonl", rows(8))], tmp_path / "out")


def test_without_tensorboard_the_error_tells_what_to_install(base, rows, write, tmp_path, monkeypatch):
    if importlib.util.find_spec("tensorboard") is not None:
        # As Python itself reports a package that was blocked.
        monkeypatch.setattr(sys, "path", [])
        for name in [name for name in sys.modules if name.partition(".")[0] == "tensorboard"]:
            monkeypatch.delitem(sys.modules, name)
    with pytest.raises(TensorBoardError, match="pip install tensorboard"):
        train_adapter(
            settings(base, epochs=1), [write("t.jsonl", rows(8))], tmp_path / "out", tensorboard=tmp_path / "curves"
        )


def test_tensorboard_gets_the_loss(base, rows, write, tmp_path):
    pytest.importorskip("tensorboard")
    data = write("t.jsonl", rows(16))
    train_adapter(settings(base, epochs=1), [data], tmp_path / "out", tensorboard=tmp_path / "curves")
    written = b"".join(path.read_bytes() for path in (tmp_path / "curves").rglob("events.out.*"))
    assert b"train/loss" in written
