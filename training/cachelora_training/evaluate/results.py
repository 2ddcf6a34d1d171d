"""Everything that is measured, as one document; its schema stands in training/README.md."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from cachelora import __version__
from cachelora.terminal import note, progress
from numpy.typing import NDArray

from cachelora_training.evaluate.figures import GROUPINGS, Settings, compared_groups, curve, figures_of, groups_of
from cachelora_training.evaluate.models import Model, models_of
from cachelora_training.evaluate.pairs import Pairs, cosines, read_pairs
from cachelora_training.evaluate.review import describe_reviews, read_review
from cachelora_training.evaluate.significance import compare_models, resamples_needed
from cachelora_training.measures import ALL_DOMAINS
from cachelora_training.provenance import describe_data

__all__ = ["evaluate_models", "remarks"]

SCHEMA_VERSION = "1.0"
EXAMPLES = 60
WORST = 20


def evaluate_models(
    base_name: str | None,
    adapters: Sequence[str],
    test_data: Sequence[str],
    *,
    bundles: Sequence[Path] = (),
    reviewed: Sequence[str] = (),
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Measure a base model, adapters on it and bundles on test rows, and compare them.

    Args:
        base_name: The base model, None measures bundles only.
        adapters: PEFT directories or hub ids.
        test_data: Triplets, pairs, labelled pairs and intent rows.
        bundles: What `cachelora export` wrote, measured through the native encoder.
        reviewed: Answered reviews (:mod:`cachelora_training.evaluate.review`); pairs with a wrong label are set aside.
        settings: Seed, resamples, confidence, bounds on false hits.

    Returns:
        The document that training/README.md describes.

    Raises:
        RowsError, BaseModelError, AdapterError, HubError, UsageError: what is named can't be had or used.
    """
    settings = settings or Settings()
    pairs = read_pairs(test_data, seed=settings.seed, judged=read_review(reviewed) if reviewed else None)
    for remark in remarks(pairs):
        note(remark)
    models = models_of(base_name, adapters, bundles)
    measures = ["margin", "roc_auc", f"hit_rate_at_{min(settings.false_hit_rates):g}"]
    everything = np.ones(len(pairs), dtype=bool)
    groups = compared_groups(groups_of(pairs, "domain", everything))
    tests = len(measures) * len(groups) * len(models) * (len(models) - 1) // 2
    # Fewer could never show that anything is significant.
    by_domain = replace(settings, resamples=max(settings.resamples, resamples_needed(tests, settings.confidence)))
    facts: dict[str, Any] = {"schema_version": SCHEMA_VERSION}
    for role in ("base", "adapter"):
        first = next((model for model in models if model.role == role), None)
        if first is not None:
            facts[f"{role}_model"] = {"name": first.name, **first.identity}
    facts |= {
        "test_data": describe_data(test_data, pairs.rows),
        **({"reviews": describe_reviews(reviewed)} if reviewed else {}),
        **pairs.counts,
        "settings": {
            "seed": settings.seed,
            "resamples": settings.resamples,
            "resamples_of_comparisons": by_domain.resamples,
            "confidence": settings.confidence,
            "false_hit_rates": list(settings.false_hit_rates),
        },
        "versions": {
            "cachelora": __version__,
            "numpy": np.__version__,
            "scikit-learn": version("scikit-learn"),
            "python": platform.python_version(),
        },
    }
    measured: list[dict[str, Any]] = []
    figures: dict[str, dict[str, dict[str, float]]] = {}
    resampled: dict[str, dict[str, dict[str, NDArray[np.float64]]]] = {}
    for model in models:
        scores, described = _encoded(model, pairs)
        found, again = _figures(pairs, scores, settings, by_domain, model.name)
        measured.append({**described, **found, **_details(pairs, scores)})
        figures[model.name] = {
            group: {name: _value(found["by_domain"][group], name) for name in measures} for group in groups
        }
        resampled[model.name] = again
        if model.role in ("base", "adapter") and model.role not in facts:
            facts[model.role] = found
    facts["models"] = measured
    facts["comparisons"] = compare_models(figures, resampled, confidence=settings.confidence)
    facts["overlap"] = _audit(pairs)
    facts["pairs"] = {
        "label": pairs.label.tolist(),
        "anchor": pairs.anchor.tolist(),
        "domain": pairs.domain.tolist(),
        "kind": pairs.kind.tolist(),
        "length": pairs.length.tolist(),
        "overlap": [round(share, 4) for share in pairs.overlap.tolist()],
        "solved_by_overlap": pairs.solved.tolist(),
    }
    generator = np.random.default_rng(settings.seed)
    drawn = np.sort(generator.permutation(len(pairs))[:EXAMPLES])
    facts["examples"] = [_shown(pairs, int(place)) | {"label": int(pairs.label[place])} for place in drawn]
    return facts


def remarks(pairs: Pairs) -> list[str]:
    """Return what makes figures mean less than they seem to."""
    found = []
    if not pairs.label.any():
        found.append(f"all {len(pairs)} pairs are near misses: there is nothing to tell them from, so no margin")
    elif pairs.label.all():
        found.append(f"none of {len(pairs)} pairs is a near miss: there is nothing to tell apart, so no margin")
    distinct = len(set(zip(pairs.first, pairs.second, strict=True)))
    if distinct < len(pairs):
        found.append(f"{len(pairs) - distinct} of {len(pairs)} pairs are repetitions of others; each of them counts")
    return found


def _encoded(model: Model, pairs: Pairs) -> tuple[NDArray[np.float64], dict[str, Any]]:
    texts = len({*pairs.first, *pairs.second})
    note(f"encoding {texts} texts of {len(pairs)} pairs with {model.role} {model.name}")
    with model.opened() as (encode, backend):
        start = time.perf_counter()
        found = cosines(encode, pairs)
        seconds = round(time.perf_counter() - start, 3)
    # Figures come from the numbers that are written, so that a reader finds the same ones, equal scores included.
    scores = np.array([float(str(score)) for score in found])
    return scores, {
        "name": model.name,
        "role": model.role,
        **model.identity,
        "backend": backend,
        "seconds": seconds,
        "texts": texts,
    }


def _figures(
    pairs: Pairs, scores: NDArray[np.float64], settings: Settings, compared: Settings, name: str
) -> tuple[dict[str, Any], dict[str, dict[str, NDArray[np.float64]]]]:
    """Return the figures of every grouping, with and without what overlap solves, and the resamples by domain.

    Args:
        pairs: Every pair.
        scores: The cosine of each.
        settings: How figures are made.
        compared: The same with the resamples that comparisons need, which are made by domain.
        name: The model's, for the progress display.
    """
    tasks = [
        (part, key, group, inside)
        for part, members in (("with", np.ones(len(pairs), dtype=bool)), ("without", ~pairs.solved))
        for key, column in GROUPINGS.items()
        for group, inside in groups_of(pairs, column, members).items()
        if inside.any()
    ]
    whole: dict[str, Any] = {key: {} for key in GROUPINGS}
    hard: dict[str, Any] = {key: {} for key in GROUPINGS}
    resampled: dict[str, dict[str, NDArray[np.float64]]] = {}
    all_of_part: dict[str, dict[str, Any]] = {}
    with progress() as display:
        task = display.add_task(f"resample {name}", total=len(tasks))
        for part, key, group, inside in tasks:
            into = whole if part == "with" else hard
            # All rows are all rows, however they are grouped.
            if group == ALL_DOMAINS and part in all_of_part:
                into[key][group] = all_of_part[part]
            else:
                comparable = part == "with" and key == "by_domain"
                chosen = compared if comparable else settings
                into[key][group], again = figures_of(pairs, scores, inside, group, chosen)
                if group == ALL_DOMAINS:
                    all_of_part[part] = into[key][group]
                if comparable:
                    resampled[group] = again
            display.advance(task)
    return {**whole, "without_overlap": hard}, resampled


def _value(values: dict[str, Any], measure: str) -> float:
    bound = measure.removeprefix("hit_rate_at_")
    hits = values["hits"].get(bound) or {}
    found = values[measure] if measure in values else hits.get("hit_rate")
    return float("nan") if found is None else float(found)


def _details(pairs: Pairs, scores: NDArray[np.float64]) -> dict[str, Any]:
    """Return the cosines, the curve and the worst mistakes."""
    order = np.argsort(-scores, kind="stable")
    negatives = [int(place) for place in order if pairs.label[place] == 0][:WORST]
    positives = [int(place) for place in order[::-1] if pairs.label[place] == 1][:WORST]

    def listed(places: list[int]) -> list[dict[str, Any]]:
        return [
            _shown(pairs, place) | {"cosine": float(scores[place]), "source": _source(pairs.source[place])}
            for place in places
        ]

    return {
        "cosines": scores.tolist(),
        "curve": curve(scores, pairs.label),
        "worst": {"false_hits": listed(negatives), "missed": listed(positives)},
    }


def _source(place: str) -> str:
    """Name a local file by its last two parts, as `provenance` does."""
    return place if place.startswith("hf://") else "/".join(Path(place).parts[-2:])


def _shown(pairs: Pairs, place: int) -> dict[str, Any]:
    return {
        "pair": place,
        "a": pairs.first[place],
        "b": pairs.second[place],
        "domain": str(pairs.domain[place]),
        "kind": str(pairs.kind[place]),
    }


def _audit(pairs: Pairs) -> dict[str, Any]:
    """Return which rows word overlap alone solves, and what it is worth as if it were a model."""
    everything = np.ones(len(pairs), dtype=bool)

    def shares(column: str) -> dict[str, Any]:
        return {
            name: {
                "rows": len(np.unique(pairs.row[inside])),
                "solved": len(np.unique(pairs.row[inside & pairs.solved])) / len(np.unique(pairs.row[inside])),
                "roc_auc": _roc_auc(pairs.label[inside], pairs.overlap[inside]),
            }
            for name, inside in groups_of(pairs, column, everything).items()
        }

    by_domain = shares("domain")
    return {
        "measure": "share of words in common (Jaccard)",
        "solved": by_domain[ALL_DOMAINS]["solved"],
        "by_domain": by_domain,
        "by_kind": shares("kind"),
    }


def _roc_auc(label: NDArray[np.int8], score: NDArray[np.float64]) -> float | None:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(label, score)) if len(np.unique(label)) == 2 else None
