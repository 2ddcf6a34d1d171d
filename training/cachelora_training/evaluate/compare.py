"""Two models on the same rows, from two results or measured now."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cachelora.errors import UsageError
from numpy.typing import NDArray

from cachelora_training.evaluate.figures import GROUPINGS, Settings, compared_groups
from cachelora_training.evaluate.resampling import resampled_figures
from cachelora_training.evaluate.results import evaluate_models
from cachelora_training.evaluate.significance import compare_models, resamples_needed
from cachelora_training.measures import ALL_DOMAINS

__all__ = ["compare_results", "read_results", "results_of_model"]

# What decides whether two results speak of the same pairs.
SAME = ("label", "anchor", "domain", "kind")
PREFERRED = ("adapter", "bundle", "base")


def read_results(path: Path) -> dict[str, Any]:
    """Read what ``cachelora evaluate --output`` wrote.

    Raises:
        UsageError: there is no such file, or it is not of a form that this version reads.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; `cachelora evaluate --output` writes results") from None
    except ValueError as error:
        raise UsageError(f"{path}: results of `cachelora evaluate` were expected: {error}") from error
    version = facts.get("schema_version") if isinstance(facts, dict) else None
    if not isinstance(version, str) or not version.startswith("1."):
        raise UsageError(
            f"{path}: schema_version: 1.x was expected, found {version!r}; evaluate again with `--output` "
            "of this version"
        )
    for key in ("models", "pairs", "settings"):
        if key not in facts:
            raise UsageError(f"{path}: {key}: missing; results of `cachelora evaluate` were expected")
    found: dict[str, Any] = facts
    return found


def results_of_model(
    model: Path, base_name: str | None, test_data: Sequence[str], settings: Settings
) -> dict[str, Any]:
    """Measure a bundle, or a PEFT adapter on a base model.

    Raises:
        UsageError: the directory is neither.
    """
    if (model / "cachelora.json").is_file():
        return evaluate_models(None, [], test_data, bundles=[model], settings=settings)
    if (model / "adapter_config.json").is_file():
        if base_name is None:
            raise UsageError(f"{model}: an adapter needs --base-model")
        return evaluate_models(base_name, [str(model)], test_data, settings=settings)
    raise UsageError(f"{model}: neither a bundle (cachelora.json) nor an adapter (adapter_config.json)")


def compare_results(
    a: Mapping[str, Any], b: Mapping[str, Any], *, model_a: str | None = None, model_b: str | None = None
) -> dict[str, Any]:
    """Compare one model of each of two results.

    Args:
        a: Results of ``cachelora evaluate``; its seed, confidence and bounds on false hits are those of the comparison.
        b: The same on the same rows.
        model_a: Which model of ``a``; without a name its first adapter, else its first bundle, else the base.
        model_b: Which model of ``b``.

    Returns:
        ``a`` and ``b`` (``name``, ``role``, hashes), ``test_data``, ``pairs``, ``settings``, ``figures`` (both
        models' by grouping and group, as in the results), and ``comparisons`` of every domain as `evaluate` has them.

    Raises:
        UsageError: the results are of different rows, or a model is not in them.
    """
    for column in SAME:
        if a["pairs"][column] != b["pairs"][column]:
            raise UsageError(
                f"the results are of different rows ({column} differs: {_data(a)} and {_data(b)}); "
                "evaluate both on the same --test-file with the same --seed"
            )
    models = [_model(a, model_a), _model(b, model_b)]
    keys = ["a", "b"]
    settings = a["settings"]
    bounds = tuple(settings["false_hit_rates"])
    measures = ["margin", "roc_auc", f"hit_rate_at_{min(bounds):g}"]
    label = np.array(a["pairs"]["label"], dtype=np.int8)
    anchor = np.array(a["pairs"]["anchor"], dtype=np.int64)
    domain = np.array(a["pairs"]["domain"])
    groups = {str(name): domain == name for name in np.unique(domain)}
    groups[ALL_DOMAINS] = np.ones(len(label), dtype=bool)
    groups = {name: groups[name] for name in compared_groups(groups)}
    resamples = max(settings["resamples"], resamples_needed(len(measures) * len(groups), settings["confidence"]))
    figures: dict[str, dict[str, dict[str, float]]] = {}
    resampled: dict[str, dict[str, dict[str, NDArray[np.float64]]]] = {}
    for key, model in zip(keys, models, strict=True):
        scores = np.array(model["cosines"])
        figures[key], resampled[key] = {}, {}
        for name, members in groups.items():
            if len(np.unique(label[members])) < 2:
                continue
            figures[key][name] = {measure: _value(model["by_domain"][name], measure) for measure in measures}
            resampled[key][name] = resampled_figures(
                scores[members],
                label[members],
                anchor[members],
                false_hit_rates=bounds,
                seed=settings["seed"],
                name=name,
                resamples=resamples,
            )
    return {
        **{key: _identity(model) for key, model in zip(keys, models, strict=True)},
        "test_data": a["test_data"],
        "pairs": len(label),
        "settings": {**settings, "resamples_of_comparisons": resamples},
        "figures": {
            key: {grouping: model[grouping] for grouping in GROUPINGS} for key, model in zip(keys, models, strict=True)
        },
        "comparisons": compare_models(figures, resampled, confidence=settings["confidence"]),
    }


def _model(facts: Mapping[str, Any], name: str | None) -> dict[str, Any]:
    models: list[dict[str, Any]] = facts["models"]
    if name is None:
        return min(models, key=lambda model: PREFERRED.index(model["role"]))
    for model in models:
        if name in (model["name"], model["role"]):
            return model
    there_are = ", ".join(f"{model['name']} ({model['role']})" for model in models)
    raise UsageError(f"no model {name!r} in the results; there are: {there_are}")


def _identity(model: Mapping[str, Any]) -> dict[str, Any]:
    return {key: model[key] for key in ("name", "role", "sha256", "fingerprint", "backend") if key in model}


def _value(values: Mapping[str, Any], measure: str) -> float:
    bound = measure.removeprefix("hit_rate_at_")
    found = values[measure] if measure in values else values["hits"][bound]["hit_rate"]
    return float("nan") if found is None else float(found)


def _data(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{data['name']} {data['sha256'][:12]}" for data in facts["test_data"])
