from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch
import yaml
from cachelora_training.adapters import load_encoder, resolve_adapter
from cachelora_training.bases import resolve_base
from cachelora_training.errors import AdapterError, LeakError, OutputExistsError, RecipeError
from cachelora_training.recipe import Recipe, read_recipe
from cachelora_training.train import new_adapter, ranking_loss, train_adapter
from safetensors import safe_open


def recipe(base, **changes):
    return Recipe(base_model=str(base), **{"epochs": 2, "batch_size": 8, "learning_rate": 0.01} | changes)


@pytest.fixture(scope="module")
def trained(base, rows, tmp_path_factory):
    """Train once; return the output and what was said."""
    root = tmp_path_factory.mktemp("trained")
    for name, content in (("train", rows(40)), ("test", rows(20, start=100))):
        (root / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))
    facts = train_adapter(
        recipe(base),
        [str(root / "train.jsonl")],
        root / "adapter",
        eval_data=[str(root / "test.jsonl")],
    )
    return root / "adapter", facts


def gradients(base, texts):
    """Return the gradient of the loss on one batch with respect to every LoRA weight."""
    settings = recipe(base, dropout=0)
    encoder = new_adapter(resolve_base(str(base)), settings)
    with torch.no_grad():
        for name, weights in encoder[0].auto_model.named_parameters():
            if "lora_B" in name:
                torch.manual_seed(5)
                weights.normal_(std=0.1)
    encoder.eval()
    loss = ranking_loss(encoder, settings)
    features = [encoder.tokenize(column) for column in texts]
    loss(features, None).backward()
    return {
        name: weights.grad.clone()
        for name, weights in encoder[0].auto_model.named_parameters()
        if weights.grad is not None
    }


def test_the_written_negative_reaches_the_loss(base):
    anchors, positives = (
        ["how can i reset my password", "what is the lease"],
        ["change password", "my rent"],
    )
    one = gradients(base, [anchors, positives, ["how can i reset my card", "what is the court"]])
    other = gradients(base, [anchors, positives, ["how can i reset my email", "what is the court"]])
    assert one.keys() == other.keys()
    assert all("lora_" in name for name in one), "only the adapter learns"
    changed = [name for name in one if not torch.allclose(one[name], other[name], rtol=1e-3, atol=1e-7)]
    assert len(changed) == len(one)


def test_training_raises_the_margin_and_leaves_the_base_alone(trained, base):
    _, facts = trained
    assert facts["after"]["all"]["margin"] > facts["before"]["all"]["margin"]
    assert facts["base_model"]["sha256"] == hashlib.sha256((base / "model.safetensors").read_bytes()).hexdigest()
    assert facts["loss"][-1] < facts["loss"][0]


def test_the_output_is_a_standard_peft_directory(trained, base):
    from peft import PeftModel
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModel, AutoTokenizer

    output, _ = trained
    assert sorted(path.name for path in output.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "cachelora_training.json",
    ]
    config = json.loads((output / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["target_modules"]) == (
        8,
        16,
        ["query", "value"],
    )
    assert config["base_model_name_or_path"] == base.name
    assert str(base.parent) not in "".join(path.read_text(errors="replace") for path in output.iterdir())
    with safe_open(output / "adapter_model.safetensors", framework="numpy") as tensors:
        assert {tensors.get_tensor(name).dtype for name in tensors.keys()} == {np.dtype(np.float32)}  # noqa: SIM118

    text = "how can i reset my password 7"
    ours = load_encoder(str(base), str(output)).encode(text, show_progress_bar=False)
    assert not np.allclose(ours, load_encoder(str(base)).encode(text, show_progress_bar=False), atol=1e-3)

    encoder = SentenceTransformer(str(base), device="cpu")
    encoder[0].auto_model = PeftModel.from_pretrained(encoder[0].auto_model, str(output))
    assert np.allclose(encoder.encode(text, show_progress_bar=False), ours, atol=1e-6)

    tokens = AutoTokenizer.from_pretrained(base)([text], return_tensors="pt")
    plain = PeftModel.from_pretrained(AutoModel.from_pretrained(base), str(output)).eval()
    with torch.no_grad():
        states = plain(**tokens).last_hidden_state[0]
    mask = tokens["attention_mask"][0].bool()
    mean = states[mask].mean(dim=0).numpy()
    assert np.allclose(mean / np.linalg.norm(mean), ours, atol=1e-5)


def test_the_card_and_the_provenance(trained):
    output, facts = trained
    _, front, body = (output / "README.md").read_text().split("---\n", 2)
    matter = yaml.safe_load(front)
    assert matter["library_name"] == "peft"
    # The hub refuses a card whose base model it can't know by that name.
    assert "base_model" not in matter
    assert "`tiny-base`" in body
    assert f"| all | 20 | {facts['before']['all']['margin']:.4f}" in body
    kept = json.loads((output / "cachelora_training.json").read_text())
    assert kept["recipe"]["seed"] == 0
    assert kept["data"]["train"][0]["rows"] == 40
    assert len(kept["data"]["train"][0]["sha256"]) == 64
    assert {"torch", "peft"} <= kept["versions"].keys()


def test_the_same_seed_gives_the_same_bytes(base, write, rows, tmp_path):
    data = [write("train.jsonl", rows(16))]
    digests = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        train_adapter(recipe(base, seed=seed, epochs=1), data, tmp_path / name)
        digests.append((tmp_path / name / "adapter_model.safetensors").read_bytes())
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_a_leak_is_refused_before_training(base, write, rows, tmp_path):
    train = write("train.jsonl", rows(16))
    leaking = rows(4, start=100)
    leaking[2]["anchor"] = "How can I reset my PASSWORD: 7?!"
    test = write("test.jsonl", leaking)
    with pytest.raises(LeakError, match=r"test\.jsonl:3: .*train\.jsonl:8"):
        train_adapter(recipe(base), [train], tmp_path / "out", eval_data=[test])
    assert not (tmp_path / "out").exists()


def test_an_output_is_not_overwritten_unless_forced(base, write, rows, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("")
    data = [write("train.jsonl", rows(8))]
    with pytest.raises(OutputExistsError, match="--force"):
        train_adapter(recipe(base, epochs=1), data, tmp_path / "out")
    train_adapter(recipe(base, epochs=1), data, tmp_path / "out", force=True)
    assert not (tmp_path / "out" / "precious").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_target_modules_must_exist(base, write, rows, tmp_path):
    with pytest.raises(AdapterError, match="nonsense"):
        train_adapter(
            recipe(base, target_modules=("query", "nonsense")),
            [write("t.jsonl", rows(8))],
            tmp_path / "out",
        )


def test_an_adapter_of_another_model_is_refused(adapter, tmp_path):
    import tiny_bundle

    wider = tiny_bundle.make_base(tmp_path / "wider", hidden=64)
    with pytest.raises(AdapterError, match=r"shape \(4, 32\), \(4, 64\) was expected"):
        load_encoder(str(wider), str(adapter))


@pytest.mark.parametrize("missing", ["adapter_config.json", "adapter_model.safetensors"])
def test_an_incomplete_adapter_is_named(adapter, tmp_path, missing):
    import shutil

    copy = shutil.copytree(adapter, tmp_path / "copy")
    (copy / missing).unlink()
    with pytest.raises(AdapterError, match=missing):
        resolve_adapter(str(copy))


def test_recipes(tmp_path):
    default = read_recipe(None, {})
    assert default == read_recipe("default", {})
    assert default.base_model == "sentence-transformers/all-MiniLM-L12-v2"
    assert (default.rank, default.alpha, default.epochs) == (8, 16, 1)
    assert default.target_modules == ("query", "value")
    assert default.written_negatives
    assert not read_recipe("published", {}).written_negatives
    assert read_recipe("multi-domain", {}).rank == 16
    assert read_recipe("demo", {"rank": 4, "alpha": None}).rank == 4
    path = tmp_path / "recipe.yaml"
    path.write_text("rank: 0\nrnak: 8\n")
    with pytest.raises(RecipeError, match=r"rank: (.|\n)*rnak: "):
        read_recipe(str(path), {})
    with pytest.raises(RecipeError, match="shipped recipes are: default, demo"):
        read_recipe("nowhere", {})


@pytest.mark.parametrize("base_dropout", [True, False])
def test_the_bases_own_dropout_can_be_left_out(base, base_dropout):
    encoder = new_adapter(resolve_base(str(base)), recipe(base, base_dropout=base_dropout))
    encoder.train()
    tokens = encoder.preprocess(["how can i reset my password"])
    one, other = (encoder(dict(tokens))["sentence_embedding"] for _ in range(2))
    assert torch.equal(one, other) is not base_dropout
