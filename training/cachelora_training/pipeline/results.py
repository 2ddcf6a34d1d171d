"""The adapter's card and its provenance, with the measures of the test data that are current."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cachelora_training.bases import Base
from cachelora_training.card import model_card
from cachelora_training.directories import write_text_atomically
from cachelora_training.recipe import Recipe

__all__ = ["describe_adapter"]

PROVENANCE = "cachelora_training.json"


def describe_adapter(
    adapter: Path, base: Base, recipe: Recipe, trained: dict[str, Any], measured: dict[str, Any] | None
) -> None:
    """Write README.md and cachelora_training.json of an adapter, unless they are there as they should be.

    Args:
        adapter: Its directory.
        base: What it was trained on.
        recipe: How.
        trained: What training had to say.
        measured: What evaluation had to say, None without test data.
    """
    facts = dict(trained)
    if measured is not None:
        facts["data"] = facts["data"] | {"eval": measured["test_data"]}
        facts |= {"before": measured["base"]["by_domain"], "after": measured["adapter"]["by_domain"]}
    texts = {
        "README.md": model_card(base, recipe, facts, adapter.name),
        PROVENANCE: json.dumps(facts, indent=2, ensure_ascii=False) + "\n",
    }
    for name, text in texts.items():
        path = adapter / name
        if not path.is_file() or path.read_bytes() != text.encode():
            write_text_atomically(path, text)
