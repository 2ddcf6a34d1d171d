from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from cachelora_training.processes import batches_for_all, sampler_of_shares, shares
from datasets import Dataset
from safetensors.numpy import load_file
from torch.utils.data import ConcatDataset


@pytest.fixture(scope="module")
def still_base(base, tmp_path_factory):
    """Return the tiny base without dropout: each process draws its own, so curves would agree only on average."""
    copy = shutil.copytree(base, tmp_path_factory.mktemp("still") / "base")
    path = copy / "config.json"
    config = json.loads(path.read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    path.write_text(json.dumps(config))
    return copy


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def launch(launcher, base, data, output, *more):
    command = [*launcher, "-m", "cachelora", "train", "--train-data", data, "--output", str(output)]
    command += ["--base-model", str(base), "--batch-size", "7", "--epochs", "2", "--learning-rate", "0.01", "--json"]
    return subprocess.run(
        [*command, *more],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )


def torchrun():
    module = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    return [*module, "--master-addr", "127.0.0.1", "--master-port", str(free_port())]


def accelerate():
    # As on two GPUs; without one, training chooses gloo. (`--cpu` would ask for MPI.)
    module = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    module += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    return [*module, "--main_process_port", str(free_port())]


def mixed(rows):
    # 31 triplets and 9 pairs in batches of 7: shares are of unequal size, and so is each last batch.
    pairs = [
        {"anchor": f"what is the rent {number}", "positive": f"how much is my rent {number}"} for number in range(9)
    ]
    return [*rows(31), *pairs]


def test_two_processes_train_as_one_with_the_same_global_batch(still_base, rows, write, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("geometry_weight: 2.0\n")
    data = write("train.jsonl", mixed(rows))
    found = {}
    for name, launcher in (("one", [sys.executable]), ("two", torchrun())):
        done = launch(launcher, still_base, data, tmp_path / name, "--recipe", str(recipe))
        assert done.returncode == 0, done.stderr
        # One JSON document: only the first process prints.
        found[name] = json.loads(done.stdout)
        assert done.stderr.count("training on") == 1
    assert (found["one"]["processes"], found["two"]["processes"]) == (1, 2)
    assert found["one"]["triplets"] == 31
    assert len(found["one"]["loss"]) >= 10
    np.testing.assert_allclose(found["two"]["loss"], found["one"]["loss"], rtol=1e-4)
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == sorted(
        path.name for path in (tmp_path / "one").iterdir()
    )


def test_accelerate_launch_trains_as_one_process_does(still_base, rows, write, tmp_path):
    data = write("train.jsonl", rows(28))
    losses, weights = [], []
    for name, launcher in (("one", [sys.executable]), ("two", accelerate())):
        done = launch(launcher, still_base, data, tmp_path / name)
        assert done.returncode == 0, done.stderr
        facts = json.loads(done.stdout)
        losses.append(facts["loss"])
        weights.append(load_file(tmp_path / name / "adapter_model.safetensors"))
    assert facts["processes"] == 2
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    for name, tensor in weights[0].items():
        np.testing.assert_allclose(weights[1][name], tensor, atol=2e-3, err_msg=name)


def test_two_processes_that_were_ended_continue_to_the_same_weights(base, rows, write, tmp_path):
    data, more = write("train.jsonl", rows(30)), ["--checkpoint-steps", "7", "--epochs", "10"]
    assert launch(torchrun(), base, data, tmp_path / "whole", *more).returncode == 0
    command = [*torchrun(), "-m", "cachelora", "train", "--train-data", data, "--output", str(tmp_path / "out")]
    command += ["--base-model", str(base), "--batch-size", "7", "--learning-rate", "0.01", *more]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment) as process:
        deadline = time.monotonic() + 240
        while not (tmp_path / "out.checkpoints" / "checkpoint-14" / "complete").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.002)
        # As a machine that is taken back does; the launcher passes it on.
        process.terminate()
    assert not (tmp_path / "out").exists()
    done = launch(torchrun(), base, data, tmp_path / "out", *more)
    assert done.returncode == 0, done.stderr
    assert "continued from" in done.stderr
    name = "adapter_model.safetensors"
    assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_one_process_reports_what_all_find(still_base, tmp_path):
    done = launch(torchrun(), still_base, str(tmp_path / "nowhere.jsonl"), tmp_path / "out")
    assert done.returncode != 0
    assert done.stderr.count("nowhere.jsonl") == 1


def no_vectors(texts):
    raise AssertionError("random batches need no vectors")


def test_a_batch_has_a_row_for_every_process(monkeypatch):
    columns = {"anchor": [f"a {number}" for number in range(5)], "positive": [f"b {number}" for number in range(5)]}
    for processes, sizes in (("1", [4, 1]), ("3", [4, 3])):
        monkeypatch.setenv("WORLD_SIZE", processes)
        generator = torch.Generator().manual_seed(0)
        sampler = batches_for_all(no_vectors, 1)(
            Dataset.from_dict(columns), batch_size=4, drop_last=True, valid_label_columns=[], generator=generator
        )
        batches = list(sampler)
        assert [len(batch) for batch in batches] == sizes
        assert {row for batch in batches for row in batch} == set(range(5))


def test_every_epoch_and_every_seed_mixes_the_rows_anew():
    data = Dataset.from_dict({"anchor": [f"a {n}" for n in range(20)], "positive": [f"b {n}" for n in range(20)]})

    def batches(seed, epoch):
        generator = torch.Generator()
        inner = batches_for_all(no_vectors, 1)(
            data, batch_size=4, drop_last=False, valid_label_columns=[], generator=generator
        )
        whole = ConcatDataset([data])
        sampler = sampler_of_shares(lambda: epoch)(whole, batch_samplers=[inner], generator=generator, seed=seed)
        return sorted(sorted(batch) for batch in sampler)

    assert batches(0, 0) == batches(0, 0)
    assert len({str(batches(seed, epoch)) for seed, epoch in ((0, 0), (0, 1), (7, 0))}) == 3


def test_shares_keep_the_order_and_differ_by_one_row_at_most():
    assert shares([1, 2, 3, 4, 5, 6, 7], 3) == [[1, 2, 3], [4, 5], [6, 7]]
    assert shares([1, 2], 2) == [[1], [2]]
