"""LoRA adapters: standard PEFT directories, here or on the hub, and the encoders they make."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cachelora_training.bases import Base, resolve_base
from cachelora_training.errors import AdapterError
from cachelora_training.hashing import sha256_of_file
from cachelora_training.hub import download_snapshot, split_revision

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["Adapter", "load_encoder", "resolve_adapter", "transformer_of"]

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter on this machine.

    Attributes:
        name: The hub id, or the directory's own name.
        path: The PEFT directory.
        revision: The hub's commit, None elsewhere.
        weights_sha256: SHA-256 of adapter_model.safetensors.
        rank, alpha: The update of a matrix is alpha / rank * B @ A, with A of (rank, inputs).
        target_modules: Names of the matrices that are updated.
        base_name: The base model that its configuration names.
    """

    name: str
    path: Path
    revision: str | None
    weights_sha256: str
    rank: int
    alpha: float
    target_modules: tuple[str, ...]
    base_name: str | None


def resolve_adapter(name: str) -> Adapter:
    """Find an adapter: a PEFT directory, or a hub id ``owner/name[@revision]``.

    Raises:
        AdapterError: it is neither, lacks a file, or is no LoRA adapter.
        HubError: the hub does not have it or can't be reached.
    """
    if Path(name).is_dir():
        path, revision, shown = Path(name), None, Path(name).resolve().name
    else:
        shown, _ = split_revision(name)
        if shown.count("/") != 1 or shown.startswith((".", "/")):
            raise AdapterError(f"adapter {name!r}: no such directory; a hub id has the form owner/name")
        path, revision = download_snapshot(name, [CONFIG, WEIGHTS, "README.md"])
    for file in (CONFIG, WEIGHTS):
        if not (path / file).is_file():
            raise AdapterError(f"adapter {name!r}: {path} lacks {file}; a PEFT directory was expected")
    config = _config(path / CONFIG)
    return Adapter(
        name=shown,
        path=path,
        revision=revision,
        weights_sha256=sha256_of_file(path / WEIGHTS),
        rank=int(config["r"]),
        alpha=float(config["lora_alpha"]),
        target_modules=tuple(sorted(config["target_modules"])),
        base_name=config.get("base_model_name_or_path"),
    )


def _config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise AdapterError(f"{path}: {error}") from error
    if config.get("peft_type") != "LORA":
        raise AdapterError(f"{path}: peft_type: LORA was expected, found {config.get('peft_type')!r}")
    for key, expected in (("r", int), ("lora_alpha", (int, float)), ("target_modules", list)):
        if not isinstance(config.get(key), expected):
            raise AdapterError(f"{path}: {key}: missing or of another type than expected")
    return dict(config)


def load_encoder(base: str | Base, adapter: str | Adapter | None = None, *, device: str = "cpu") -> SentenceTransformer:
    """Load a base model and, unmerged, an adapter on top of it.

    Raises:
        BaseModelError, AdapterError, HubError: one of them can't be had, or they do not fit each other.
    """
    from sentence_transformers import SentenceTransformer

    if isinstance(base, str):
        base = resolve_base(base)
    encoder: SentenceTransformer = SentenceTransformer(str(base.path), device=device, local_files_only=True)
    if adapter is not None:
        if isinstance(adapter, str):
            adapter = resolve_adapter(adapter)
        _check_fit(encoder, adapter)
        with warnings.catch_warnings():
            # PEFT wonders about adapters whose base is known by another name; fit was checked above.
            warnings.simplefilter("ignore", UserWarning)
            encoder.load_adapter(str(adapter.path))
        encoder.to(device)
    encoder.eval()
    return encoder


def transformer_of(encoder: SentenceTransformer) -> Any:
    """Return the transformers model inside a sentence encoder."""
    return encoder[0].auto_model


def _check_fit(encoder: SentenceTransformer, adapter: Adapter) -> None:
    """Compare the adapter's shapes with those of the matrices that it updates."""
    from safetensors import safe_open

    shapes = {name: tuple(weights.shape) for name, weights in transformer_of(encoder).named_parameters()}
    with safe_open(adapter.path / WEIGHTS, framework="numpy") as tensors:
        for name in tensors.keys():  # noqa: SIM118  (the handle is no mapping)
            module, _, part = name.removeprefix("base_model.model.").rpartition(".lora_")
            if not module:
                raise AdapterError(f"adapter {adapter.name!r}: tensor {name} is no part of a LoRA update")
            shape = shapes.get(f"{module}.weight")
            if shape is None:
                raise AdapterError(
                    f"adapter {adapter.name!r} does not fit the base model: it updates {module}, which the model "
                    f"does not have; it was trained for {adapter.base_name}"
                )
            outputs, inputs = shape
            expected = (adapter.rank, inputs) if part.startswith("A") else (outputs, adapter.rank)
            found = tuple(tensors.get_slice(name).get_shape())
            if found != expected:
                raise AdapterError(
                    f"adapter {adapter.name!r} does not fit the base model: {name} has shape {found}, {expected} was "
                    f"expected; it was trained for {adapter.base_name}"
                )
