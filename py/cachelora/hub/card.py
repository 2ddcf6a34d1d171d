"""The model card that is pushed: written where there is none, with the results in its metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cachelora.errors import HubError
from cachelora.hub.client import IDENTIFIER
from cachelora.hub.kinds import ADAPTER_CONFIG, CARD, MANIFEST, Kind

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

__all__ = ["base_on_hub", "card_text"]

PROVENANCE = "cachelora_training.json"
CALIBRATION = "calibration.json"
# Names of the measures in the metadata, and how they are shown.
METRICS = {"margin": "Margin", "roc_auc": "ROC-AUC", "average_precision": "Average precision"}
BUILTIN_PREFIX = "builtin:"
# The built-in bases are published models, byte for byte; the hub knows them by these names.
HUB_ID_OF_BUILTIN = {"all-MiniLM-L6-v2": "sentence-transformers/all-MiniLM-L6-v2"}


def card_text(directory: Path, kind: Kind, identifier: str) -> str:
    """Return the card for the repository ``identifier``; the directory itself is not touched.

    A card that is there keeps its text and its metadata; measures from cachelora_training.json are added as
    ``model-index`` where it has none.

    Raises:
        HubError: the card or a file that it is made from can't be read.
    """
    from huggingface_hub import ModelCard

    path = directory / CARD
    if path.is_file():
        text = path.read_text(encoding="utf-8")
        try:
            card = ModelCard(text)
        except Exception as error:  # YAML's own errors, and those of results that are half there
            raise HubError(f"{path}: the metadata at its top can't be read: {error}") from error
        results = _results(directory)
        data = cast("ModelCardData", card.data)
        if not results or data.eval_results:
            return text
        data.model_name = identifier.partition("/")[2]
        data.eval_results = results
        _name_base_by_hub_id(data)
        return _joined(data, card.text)
    return _joined(_metadata(directory, kind, identifier), _body(directory, kind, identifier))


def _joined(data: ModelCardData, text: str) -> str:
    return f"---\n{data.to_yaml()}\n---\n\n{text.lstrip()}"


def _metadata(directory: Path, kind: Kind, identifier: str) -> ModelCardData:
    from huggingface_hub import ModelCardData

    if kind is Kind.BUNDLE:
        base = _read(directory / MANIFEST).get("base_model", {})
        base_id, license_name = base.get("id"), base.get("license")
    else:
        base_id, license_name = _read(directory / ADAPTER_CONFIG).get("base_model_name_or_path"), None
    data = ModelCardData(
        base_model=base_id,
        library_name="peft" if kind is Kind.ADAPTER else "cachelora",
        license=license_name,
        pipeline_tag="sentence-similarity",
        tags=["cachelora", "semantic-cache", "sentence-similarity", *(["lora"] if kind is Kind.ADAPTER else ["onnx"])],
        model_name=identifier.partition("/")[2],
        eval_results=_results(directory) or None,
    )
    _name_base_by_hub_id(data)
    return data


def base_on_hub(name: str) -> str | None:
    """Return what a card may call the base model ``name``: the hub refuses a card that names one it can't know."""
    if name.startswith(BUILTIN_PREFIX):
        return HUB_ID_OF_BUILTIN.get(name.removeprefix(BUILTIN_PREFIX))
    return name if IDENTIFIER.fullmatch(name) else None


def _name_base_by_hub_id(data: ModelCardData) -> None:
    if isinstance(data.base_model, str):
        data.base_model = base_on_hub(data.base_model)


def _results(directory: Path) -> list[EvalResult]:
    """Return the measures that training left behind, one per domain and metric."""
    from huggingface_hub import EvalResult

    path = directory / PROVENANCE
    if not path.is_file():
        return []
    facts = _read(path)
    names = [file["name"] for file in facts.get("data", {}).get("eval", [])]
    return [
        EvalResult(
            task_type="sentence-similarity",
            dataset_type="cachelora-triplets",
            dataset_name=", ".join(names) or "test triplets",
            dataset_config=domain,
            metric_type=metric,
            metric_name=f"{shown} ({domain}, base {facts['before'][domain][metric]:.4f})",
            metric_value=round(measures[metric], 6),
        )
        for domain, measures in facts.get("after", {}).items()
        for metric, shown in METRICS.items()
        if metric in measures
    ]


def _body(directory: Path, kind: Kind, identifier: str) -> str:
    lines = [f"# {identifier.partition('/')[2]}", ""]
    if kind is Kind.ADAPTER:
        lines += ["A LoRA adapter that teaches a sentence encoder which questions may share one cached answer.", ""]
        if (directory / PROVENANCE).is_file():
            lines += _table_of_measures(_read(directory / PROVENANCE))
        lines += ["```sh", f"cachelora pull {identifier}", "```", ""]
        return "\n".join(lines)
    manifest = _read(directory / MANIFEST)
    lines += [
        "A sentence encoder for semantic caches, exported and verified; it needs no PyTorch.",
        "",
        "| | |",
        "|---|---|",
        f"| base model | `{manifest.get('base_model', {}).get('id')}` |",
        f"| adapter | `{(manifest.get('adapter') or {}).get('id')}` |",
        f"| dimension | {manifest.get('dimension')} |",
        f"| tokens | at most {manifest.get('max_tokens')} |",
        f"| fingerprint | `{manifest.get('fingerprint')}` |",
        "",
        *_table_of_thresholds(directory),
        "```python",
        "from cachelora import Embedder",
        "from cachelora.hub import pull",
        "",
        f'with Embedder(pull("{identifier}").path) as embedder:',
        '    vectors = embedder.encode(["how do I change my password", "how can I set a new password"])',
        "```",
        "",
    ]
    return "\n".join(lines)


def _table_of_measures(facts: dict[str, Any]) -> list[str]:
    if not facts.get("after"):
        return []
    lines = [
        "| domain | triplets | margin | with adapter | ROC-AUC | with adapter |",
        "|---|---|---|---|---|---|",
    ]
    for domain, after in facts["after"].items():
        before = facts["before"][domain]
        lines.append(
            f"| {domain} | {after['triplets']} | {before['margin']:.4f} | {after['margin']:.4f} "
            f"| {before['roc_auc']:.4f} | {after['roc_auc']:.4f} |"
        )
    return [*lines, ""]


def _table_of_thresholds(directory: Path) -> list[str]:
    path = directory / CALIBRATION
    if not path.is_file():
        return []
    rows = [
        f"| {domain} | {found['max_false_hit_rate']:g} | {found['threshold']:.4f} |"
        for domain, thresholds in _read(path).get("domains", {}).items()
        for found in thresholds
    ]
    return ["| domain | false hits at most | threshold |", "|---|---|---|", *rows, ""] if rows else []


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HubError(f"{path}: can't be read: {error}") from error
    if not isinstance(content, dict):
        raise HubError(f"{path}: a JSON object was expected")
    return content
