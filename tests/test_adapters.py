"""The adapters that ship are what their cards say: this checkout's recipes and rows, and the figures they record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cachelora_training.adapters import load_encoder
from cachelora_training.encoding import encode_function
from cachelora_training.measures import measure_by, triplet_similarities
from cachelora_training.provenance import describe_data
from cachelora_training.recipe import read_recipe
from cachelora_training.rows import read_triplets

ROOT = Path(__file__).resolve().parent.parent
BASE = "builtin:all-MiniLM-L6-v2"
ALL = ("medical", "law", "programming", "psychology", "general")
SHIPPED = {"multi-domain": ALL} | {domain: (domain,) for domain in ALL[:4]}


def facts_of(name: str) -> dict:
    found: dict = json.loads((ROOT / "adapters" / name / "cachelora_training.json").read_text(encoding="utf-8"))
    return found


def test_nothing_else_ships():
    assert {path.name for path in (ROOT / "adapters").iterdir() if path.is_dir()} == set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_an_adapter_belongs_to_the_recipe_and_the_rows_of_this_checkout(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    facts = facts_of(name)
    recipe = read_recipe("multi-domain" if name == "multi-domain" else "domain", {"base_model": BASE})
    assert facts["recipe"] == recipe.model_dump(mode="json")
    for parts, key in ((("train", "ordinary"), "train"), (("test",), "eval")):
        files = [f"training/data/{domain}/{part}.jsonl" for domain in SHIPPED[name] for part in parts]
        assert facts["data"][key] == describe_data(files, read_triplets(files)), "stale: run `make adapters`"
    config = json.loads((ROOT / "adapters" / name / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["lora_alpha"] == recipe.alpha * recipe.strength
    assert facts["leaks"] == []


@pytest.mark.parametrize("name", ["medical", "psychology"])
def test_an_adapter_has_the_figures_that_its_card_shows(name):
    rows = read_triplets([str(ROOT / "training" / "data" / name / "test.jsonl")])
    similarities = triplet_similarities(encode_function(load_encoder(BASE, str(ROOT / "adapters" / name))), rows)
    found = measure_by([row.domain for row in rows], similarities)[name]
    recorded = facts_of(name)["after"][name]
    assert found.margin == pytest.approx(recorded["margin"], abs=1e-5)
    assert found.roc_auc == pytest.approx(recorded["roc_auc"], abs=1e-3)
    assert recorded["margin"] > facts_of(name)["before"][name]["margin"]
    card = (ROOT / "adapters" / name / "README.md").read_text(encoding="utf-8")
    assert f"| {recorded['margin']:.4f} |" in card
