"""What the report shows: cosines of two encoders on the same rows, and where everything came from."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cachelora import Embedder
from cachelora.errors import BundleInvalidError, BundleNotFoundError, UsageError
from cachelora.terminal import note
from cachelora_training.adapters import Adapter, load_encoder, resolve_adapter
from cachelora_training.bases import resolve_base
from cachelora_training.encoding import encode_function
from cachelora_training.errors import RowsError
from cachelora_training.evaluate.pairs import Pairs, cosines, read_pairs
from cachelora_training.measures import Floats
from cachelora_training.provenance import describe_data

from cachelora_benchmarks.machine import PACKAGES

__all__ = ["Collected", "Model", "collect", "read_latency"]

# Who else can have an effect on a cosine or a figure.
VERSIONS = ("cachelora-training", "cachelora-benchmarks", *PACKAGES, "peft", "scikit-learn", "scipy")


@dataclass(frozen=True)
class Model:
    """An encoder and its cosines of every row.

    Attributes:
        role: ``Base model``, ``Adapter`` or ``Bundle``: what the charts call it.
        name: Its own name.
        cosines: One per pair, float32 (n,).
        origin: Hashes and settings, as pairs of a term and a value.
    """

    role: str
    name: str
    cosines: Floats
    origin: list[tuple[str, str]]


@dataclass(frozen=True)
class Collected:
    """Everything that the report shows.

    Attributes:
        pairs: Of the test rows: pairs of each label, at least one.
        models: The base model, then what was tuned.
        data: Name, hash and number of rows of each test file.
        calibration: The content of the bundle's calibration.json, if there is one.
        latency: What ``cachelora bench latency --json`` printed, if it was given.
        versions: Of every package that computed something.
    """

    pairs: Pairs
    models: tuple[Model, Model]
    data: list[dict[str, Any]]
    calibration: dict[str, Any] | None
    latency: dict[str, Any] | None
    versions: dict[str, str]


def collect(
    test_data: Sequence[str],
    *,
    bundle: Path | None,
    base_model: str | None,
    adapter: str | None,
    latency: Path | None,
) -> Collected:
    """Encode the rows with the base model, and with the bundle or the adapter.

    Args:
        test_data: Triplets, labelled pairs or intent rows that nobody trained on.
        bundle: What is served; encoded natively. With it, ``adapter`` only adds how it was trained.
        base_model: None takes the bundle's, or the one that the adapter's configuration names.
        adapter: PEFT directory or hub id.
        latency: A JSON file of ``cachelora bench latency --json``.

    Raises:
        UsageError: neither bundle nor adapter is named, they do not belong together, or ``latency`` is another file.
        RowsError, BaseModelError, AdapterError, BundleNotFoundError, BundleInvalidError, HubError: what is named
            can't be had or used.
    """
    if bundle is None and adapter is None:
        raise UsageError("nothing to compare with the base model: --bundle or --adapter was expected")
    # Everything that can fail early does so before minutes of encoding.
    timings = None if latency is None else read_latency(latency)
    manifest = None if bundle is None else _read_json(bundle / "cachelora.json")
    pairs = _of_both_labels(test_data)
    tuned = None if adapter is None else resolve_adapter(adapter)
    if manifest is not None and tuned is not None:
        recorded = (manifest.get("adapter") or {}).get("sha256")
        if recorded != tuned.weights_sha256:
            raise UsageError(
                f"--adapter {adapter} (SHA-256 {tuned.weights_sha256}) is not the one in {bundle} ({recorded}); "
                "leave one of the two out"
            )
    name = base_model or (manifest["base_model"]["id"] if manifest else tuned.base_name if tuned else None)
    if name is None:
        raise UsageError(f"adapter {adapter}: its configuration names no base model; --base-model was expected")
    base = resolve_base(name)
    calibration = None
    # The bundle first: it is the sooner done, and the likelier refused.
    if bundle is not None and manifest is not None:
        after = _bundle(bundle, manifest, pairs)
        after.origin.extend([] if tuned is None else _training(tuned))
        if (bundle / "calibration.json").is_file():
            calibration = _read_json(bundle / "calibration.json")
    elif tuned is not None:
        note(f"encoding {len(pairs)} pairs with adapter {tuned.name}")
        encode = encode_function(load_encoder(base, tuned))
        after = Model("Adapter", tuned.name, cosines(encode, pairs), _adapter_origin(tuned))
    note(f"encoding {len(pairs)} pairs with {base.name}")
    before = Model(
        "Base model",
        base.name,
        cosines(encode_function(load_encoder(base)), pairs),
        _known([("weights", base.weights_sha256), ("revision", base.revision), ("licence", base.license)]),
    )
    return Collected(
        pairs=pairs,
        models=(before, after),
        data=describe_data(test_data, pairs.rows),
        calibration=calibration,
        latency=timings,
        versions={"Python": platform.python_version()}
        | {package: found for package in VERSIONS if (found := _version(package))},
    )


def _of_both_labels(test_data: Sequence[str]) -> Pairs:
    pairs = read_pairs(test_data)
    for label, name in ((1, "same answer"), (0, "another answer")):
        if not (pairs.label == label).any():
            raise RowsError(
                f"{', '.join(test_data)}: none of {len(pairs)} pairs has {name}; a report compares pairs of both labels"
            )
    return pairs


def read_latency(path: Path) -> dict[str, Any]:
    """Read what ``cachelora bench latency --json`` printed.

    Raises:
        UsageError: it is missing or something else; the message names the file and what was expected.
    """
    expected = "what `cachelora bench latency BUNDLE --json` prints was expected"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        for count, engines in facts["latency"].items():
            if not engines:
                raise KeyError(count)
            for found in engines.values():
                for key in ("p5", "median", "p95"):
                    float(found[key])
    except OSError as error:
        raise UsageError(f"--latency {path}: {error.strerror}; {expected}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"--latency {path}: {error!r}; {expected}") from error
    if not facts["latency"]:
        raise UsageError(f"--latency {path}: latency: is empty; {expected}")
    return dict(facts)


def _bundle(bundle: Path, manifest: dict[str, Any], pairs: Pairs) -> Model:
    with Embedder(bundle) as embedder:
        name = f"{bundle.resolve().name} {embedder.fingerprint[:8]}"
        note(f"encoding {len(pairs)} pairs with {bundle.resolve().name} ({embedder.backend})")
        found = cosines(embedder.encode, pairs)
        origin = [("fingerprint", embedder.fingerprint), ("encoder", embedder.backend)]
    adapter = manifest.get("adapter") or {}
    origin += _known([("adapter weights", adapter.get("sha256")), ("written by", manifest.get("created_by"))])
    origin += [(f"file {name}", str(file["sha256"])) for name, file in manifest["files"].items()]
    return Model("Bundle", name, found, origin)


def _adapter_origin(adapter: Adapter) -> list[tuple[str, str]]:
    return _known([("weights", adapter.weights_sha256), ("revision", adapter.revision)]) + _training(adapter)


def _training(adapter: Adapter) -> list[tuple[str, str]]:
    """Return how an adapter was trained, as far as it says so."""
    record = adapter.path / "cachelora_training.json"
    shape = [("rank, alpha", f"{adapter.rank}, {adapter.alpha:g}"), ("updates", ", ".join(adapter.target_modules))]
    if not record.is_file():
        return shape
    trained = _read_json(record)
    recipe = trained.get("recipe", {})
    shape += [(f"trained with {key}", str(recipe[key])) for key in ("seed", "epochs", "learning_rate") if key in recipe]
    for file in trained.get("data", {}).get("train", []):
        shape.append((f"trained on {file['name']}", f"{file['sha256']} ({file['rows']} rows)"))
    return shape


def _known(pairs: list[tuple[str, str | None]]) -> list[tuple[str, str]]:
    return [(term, value) for term, value in pairs if value]


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise BundleNotFoundError(f"{path}: no such file; `cachelora export` writes a bundle")
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise BundleInvalidError(f"{path}: {error}") from error


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
