from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from cachelora_training.errors import CheckpointError
from cachelora_training.recipe import Recipe
from cachelora_training.train import train_adapter

WEIGHTS = "adapter_model.safetensors"


def settings(base, **changes):
    # 7 batches per epoch and a checkpoint every 9 steps: kills fall into the middle of an epoch.
    changes = {"epochs": 12, "batch_size": 6, "checkpoint_steps": 9, "dropout": 0.1} | changes
    return Recipe(base_model=str(base), **{"learning_rate": 0.01} | changes)


def killed_after(checkpoint, recipe, data, output):
    """Start training in a process of its own and kill it as soon as a checkpoint is complete."""
    path = output.with_name("recipe.yaml")
    path.write_text(json.dumps(recipe.model_dump(mode="json")))
    command = [sys.executable, "-m", "cachelora", "train", "--recipe", str(path), "--output", str(output)]
    # As many threads as here: their number shapes the rounding of sums.
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads()), "CUDA_VISIBLE_DEVICES": ""}
    with subprocess.Popen([*command, "--train-data", data], stderr=subprocess.PIPE, env=environment) as process:
        marker = output.with_name(f"{output.name}.checkpoints") / checkpoint / "complete"
        deadline = time.monotonic() + 240
        while not marker.exists():
            assert process.poll() is None, process.stderr.read().decode()
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not output.exists()


def test_a_killed_run_ends_with_the_same_weights(base, rows, write, tmp_path, capsys):
    pairs = [{"anchor": f"what is the rent {n}", "positive": f"how much is my rent {n}"} for n in range(8)]
    data = write("train.jsonl", [*rows(28), *pairs])
    recipe = settings(base)
    whole = train_adapter(recipe, [data], tmp_path / "whole")
    assert not (tmp_path / "whole.checkpoints").exists()

    killed_after("checkpoint-18", recipe, data, tmp_path / "killed")
    checkpoints = tmp_path / "killed.checkpoints"
    # One that was being written when the process died.
    (checkpoints / "checkpoint-9999").mkdir()
    resumed = train_adapter(recipe, [data], tmp_path / "killed")
    assert "continued from" in capsys.readouterr().err
    assert (tmp_path / "killed" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()
    assert resumed["loss"] == whole["loss"]
    assert not checkpoints.exists()


@pytest.fixture
def interrupted(base, rows, write, tmp_path):
    """Leave the checkpoints of a run whose output could not be written; return recipe, data and output."""
    data, recipe = write("train.jsonl", rows(12)), settings(base, epochs=2, checkpoint_steps=1)
    (tmp_path / "parent").write_text("a file where the output's directory should be")
    checkpoints = tmp_path / "out.checkpoints"
    with pytest.raises(OSError, match="parent"):
        train_adapter(recipe, [data], tmp_path / "parent" / "out", checkpoints=checkpoints)
    return recipe, data, tmp_path / "out"


def test_a_run_that_ended_after_its_last_step_is_not_trained_again(interrupted, tmp_path):
    recipe, data, output = interrupted
    kept = sorted(path.name for path in (tmp_path / "out.checkpoints").glob("checkpoint-*"))
    assert kept == ["checkpoint-3", "checkpoint-4"]
    train_adapter(recipe, [data], tmp_path / "whole")
    train_adapter(recipe, [data], output)
    assert (output / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()


def test_checkpoints_of_another_recipe_or_other_data_are_refused(interrupted, rows, write, tmp_path):
    recipe, data, output = interrupted
    with pytest.raises(CheckpointError, match=r"recipe\.learning_rate: 0\.01 there, 0\.02 here\n.*remove") as refused:
        train_adapter(recipe.model_copy(update={"learning_rate": 0.02}), [data], output)
    assert "train_data" not in str(refused.value)
    with pytest.raises(CheckpointError, match="train_data: "):
        train_adapter(recipe, [write("other.jsonl", rows(13))], output)
    # Nothing was lost by asking.
    assert (tmp_path / "out.checkpoints" / "checkpoint-4" / "complete").is_file()


def test_what_is_not_a_checkpoint_is_not_removed(base, rows, write, tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "precious").write_text("")
    train_adapter(
        settings(base, epochs=1), [write("train.jsonl", rows(12))], tmp_path / "out", checkpoints=tmp_path / "kept"
    )
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["precious"]
