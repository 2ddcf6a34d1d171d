"""A few pairs of questions, base model against adapter, at the calibrated threshold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cachelora import Embedder
from cachelora.errors import UsageError

from cachelora_training.adapters import load_encoder, resolve_adapter
from cachelora_training.bases import resolve_base
from cachelora_training.encoding import encode_function
from cachelora_training.measures import ALL_DOMAINS, Encode

__all__ = ["BUILT_IN", "look"]

# Each near miss beside the pair that it could be mistaken for.
BUILT_IN: tuple[tuple[str, str, bool], ...] = (
    ("Can I take ibuprofen after drinking wine?", "Is it OK to have Advil on an evening with alcohol?", True),
    ("Can I take ibuprofen after drinking wine?", "Can I take ibuprofen after drinking milk?", False),
    ("How long do I have to return a rental deposit?", "By when must a landlord pay the deposit back?", True),
    ("How long do I have to return a rental deposit?", "How long do I have to demand a rental deposit?", False),
    (
        "How do I undo my last commit but keep the changes?",
        "git: drop the newest commit, leave the files alone",
        True,
    ),
    ("How do I undo my last commit but keep the changes?", "How do I undo my last commit and lose the changes?", False),
    ("How do I switch paper statements off?", "I want my bank statements by e-mail only", True),
    ("How do I switch paper statements off?", "How do I switch paper statements on?", False),
)


def look(
    model: Path,
    texts: Sequence[str],
    *,
    base_name: str | None = None,
    without_base: bool = False,
    domain: str = ALL_DOMAINS,
    budget: float | None = None,
    threshold: float | None = None,
) -> dict[str, Any]:
    """Compare questions pairwise by the base model and by what was made of it.

    Args:
        model: A bundle, or a PEFT adapter.
        texts: The first with the second, the third with the fourth, and so on; none takes the built-in pairs.
        base_name: The base model; a bundle knows its own.
        without_base: Leave the base model out; a bundle then needs no PyTorch.
        domain: Whose threshold decides.
        budget: Calibrated share of false hits; None takes the smallest that was calibrated.
        threshold: Decide by this cosine instead of a calibrated one.

    Returns:
        ``threshold`` and ``max_false_hit_rate`` (None where nothing was calibrated), ``domain``, and ``pairs``: ``a``,
        ``b``, ``same`` (None for typed ones), and for ``base`` and ``adapter`` ``cosine`` and ``hit``.

    Raises:
        UsageError: an odd number of texts, or no such model.
        NotCalibratedError: the budget was not calibrated; the message lists what was.
    """
    if len(texts) % 2:
        raise UsageError(f"pairs of questions were expected, one after the other; found {len(texts)}, an odd number")
    pairs: list[tuple[str, str, bool | None]] = [
        (texts[place], texts[place + 1], None) for place in range(0, len(texts), 2)
    ] or list(BUILT_IN)
    base_of_bundle: str | None = None
    columns: dict[str, list[float]] = {}
    if (model / "cachelora.json").is_file():
        base_of_bundle = json.loads((model / "cachelora.json").read_text(encoding="utf-8"))["base_model"]["id"]
        with Embedder(model) as embedder:
            if threshold is None:
                budget = _smallest_budget(model, domain) if budget is None else budget
                threshold = None if budget is None else embedder.threshold(domain, budget)
            columns["adapter"] = _cosines(embedder.encode, pairs)
    elif (model / "adapter_config.json").is_file():
        if base_name is None:
            raise UsageError(f"{model}: an adapter needs --base-model")
        if budget is not None:
            raise UsageError(f"{model}: an adapter has no calibrated thresholds, a bundle has; --threshold gives one")
        encoder = load_encoder(resolve_base(base_name), resolve_adapter(str(model)))
        columns["adapter"] = _cosines(encode_function(encoder), pairs)
    else:
        raise UsageError(f"{model}: neither a bundle (cachelora.json) nor an adapter (adapter_config.json)")
    base = base_name or base_of_bundle
    if not without_base and base is not None:
        columns["base"] = _cosines(encode_function(load_encoder(resolve_base(base))), pairs)
    return {
        "domain": domain,
        "threshold": threshold,
        "max_false_hit_rate": budget,
        "base_model": None if without_base else base,
        "pairs": [
            {
                "a": a,
                "b": b,
                "same": same,
                **{
                    name: {
                        "cosine": cosines[place],
                        "hit": None if threshold is None else bool(np.float32(cosines[place]) >= np.float32(threshold)),
                    }
                    for name, cosines in columns.items()
                },
            }
            for place, (a, b, same) in enumerate(pairs)
        ],
    }


def _smallest_budget(bundle: Path, domain: str) -> float | None:
    path = bundle / "calibration.json"
    if not path.is_file():
        return None
    entries = json.loads(path.read_text(encoding="utf-8"))["domains"].get(domain, [])
    return min((float(entry["max_false_hit_rate"]) for entry in entries), default=None)


def _cosines(encode: Encode, pairs: Sequence[tuple[str, str, bool | None]]) -> list[float]:
    first, second = (
        np.asarray(encode(texts), dtype=np.float64) for texts in ([a for a, _, _ in pairs], [b for _, b, _ in pairs])
    )
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return [float(value) for value in np.einsum("ij,ij->i", first, second) / norms]
