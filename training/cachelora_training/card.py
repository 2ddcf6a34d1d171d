"""The model card of an adapter."""

from __future__ import annotations

from typing import Any

import yaml
from cachelora.hub.card import base_on_hub

from cachelora_training.bases import Base
from cachelora_training.recipe import Recipe

__all__ = ["model_card"]


def model_card(base: Base, recipe: Recipe, facts: dict[str, Any], name: str) -> str:
    """Return a Markdown model card with the hub's front matter.

    Args:
        base: What the adapter was trained on.
        recipe: How.
        facts: The content of cachelora_training.json.
        name: What the card calls the adapter.
    """
    # Other programs know nothing of `builtin:`.
    known = base_on_hub(base.name)
    matter: dict[str, Any] = {
        "library_name": "peft",
        **({"base_model": known} if known else {}),
        "pipeline_tag": "sentence-similarity",
        "tags": [
            "cachelora",
            "lora",
            "semantic-cache",
            "sentence-similarity",
            "sentence-transformers",
        ],
    }
    if base.license:
        matter["license"] = base.license
    settings = recipe.model_dump() | {"base_model": base.name}
    lines = [
        "---",
        yaml.safe_dump(matter, sort_keys=False).rstrip(),
        "---",
        "",
        f"# {name}",
        "",
        f"A LoRA adapter for `{base.name}` that teaches it which questions may share one cached answer. Trained with",
        f"cachelora on {facts['triplets']} triplets of anchor, positive (same answer) and negative (a near miss).",
        "",
        "## Recipe",
        "",
        "| setting | value |",
        "|---|---|",
        *(f"| {key} | {_shown(key, value)} |" for key, value in settings.items()),
        "",
        "| data | rows | SHA-256 |",
        "|---|---|---|",
        *(f"| {file['name']} | {file['rows']} | `{file['sha256']}` |" for file in facts["data"]["train"]),
    ]
    if "after" in facts:
        lines += [
            "",
            "## Results",
            "",
            "On test triplets that share no question with the training data; margin is",
            "mean(cos(anchor, positive)) - mean(cos(anchor, negative)).",
            "",
            "| domain | triplets | margin | with adapter | ROC-AUC | with adapter |",
            "|---|---|---|---|---|---|",
        ]
        for domain, after in facts["after"].items():
            before = facts["before"][domain]
            lines.append(
                f"| {domain} | {after['triplets']} | {before['margin']:.4f} | {after['margin']:.4f} "
                f"| {before['roc_auc']:.4f} | {after['roc_auc']:.4f} |"
            )
    lines += [
        "",
        "## Use",
        "",
        "```python",
        "from peft import PeftModel",
        "from sentence_transformers import SentenceTransformer",
        "",
        f'encoder = SentenceTransformer("{known or base.name}")',
        f'encoder[0].auto_model = PeftModel.from_pretrained(encoder[0].auto_model, "{name}")',
        "```",
        "",
        "Or merged, exported and served on CPU without PyTorch:",
        "",
        "```sh",
        f"cachelora export --base-model {base.name} --adapter {name} --output bundle",
        "```",
        "",
    ]
    return "\n".join(lines)


def _shown(setting: str, value: object) -> str:
    if value is None:
        return "base model's" if setting == "max_tokens" else "none"
    return ", ".join(str(part) for part in value) if isinstance(value, tuple) else str(value)
