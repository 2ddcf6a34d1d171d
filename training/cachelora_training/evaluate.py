"""Base model against adapter on test triplets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cachelora.terminal import note

from cachelora_training.adapters import load_encoder, resolve_adapter
from cachelora_training.bases import resolve_base
from cachelora_training.encoding import encode_function
from cachelora_training.measures import Similarities, measure_by, triplet_similarities
from cachelora_training.provenance import describe_data
from cachelora_training.rows import Triplet, read_triplets

__all__ = ["evaluate_models"]


def evaluate_models(base_name: str, adapter_name: str | None, test_data: Sequence[str]) -> dict[str, Any]:
    """Measure a base model, and an adapter on it, on test triplets.

    Returns:
        Names and hashes of what was measured; ``base`` and, with an adapter, ``adapter``: each with
        ``by_domain`` and ``by_kind``, the measures of each group and of all rows.

    Raises:
        RowsError, BaseModelError, AdapterError, HubError: what is named can't be had or used.
    """
    rows = read_triplets(test_data)
    base = resolve_base(base_name)
    adapter = None if adapter_name is None else resolve_adapter(adapter_name)
    facts: dict[str, Any] = {
        "base_model": {"name": base.name, "revision": base.revision, "sha256": base.weights_sha256},
        "test_data": describe_data(test_data, rows),
        "triplets": len(rows),
    }
    note(f"encoding {len(rows)} triplets with {base.name}")
    facts["base"] = _measured(rows, triplet_similarities(encode_function(load_encoder(base)), rows))
    if adapter is not None:
        note(f"encoding {len(rows)} triplets with adapter {adapter.name}")
        facts["adapter_model"] = {"name": adapter.name, "sha256": adapter.weights_sha256}
        facts["adapter"] = _measured(rows, triplet_similarities(encode_function(load_encoder(base, adapter)), rows))
    return facts


def _measured(rows: Sequence[Triplet], similarities: Similarities) -> dict[str, Any]:
    groups = {"by_domain": [row.domain for row in rows], "by_kind": [row.kind for row in rows]}
    return {
        key: {name: asdict(found) for name, found in measure_by(names, similarities).items()}
        for key, names in groups.items()
    }
