"""The content of cachelora.json, and the fingerprint."""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic import BaseModel, ConfigDict

__all__ = [
    "CALIBRATION",
    "GRAPH",
    "INT8_WEIGHTS",
    "MANIFEST",
    "SCHEMA_VERSION",
    "TOKENIZER",
    "AdapterEntry",
    "Architecture",
    "BaseEntry",
    "FileEntry",
    "Manifest",
    "fingerprint",
]

SCHEMA_VERSION = "1.0"
MANIFEST = "cachelora.json"
GRAPH = "model.onnx"
INT8_WEIGHTS = "encoder.int8.safetensors"
TOKENIZER = "tokenizer.json"
CALIBRATION = "calibration.json"


class Entry(BaseModel):
    """A part of the manifest."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BaseEntry(Entry):
    """The base model: id, hub commit, SHA-256 of its weights, licence."""

    id: str
    revision: str | None
    sha256: str
    license: str | None


class AdapterEntry(Entry):
    """The merged adapter."""

    id: str
    revision: str | None
    sha256: str
    rank: int
    alpha: float
    target_modules: tuple[str, ...]


class Architecture(Entry):
    """The shape of the transformer encoder."""

    model_type: str
    layers: int
    hidden_size: int
    heads: int
    intermediate_size: int
    vocab_size: int
    max_positions: int
    activation: str
    layer_norm_eps: float


class FileEntry(Entry):
    """Size in bytes and SHA-256 of one file."""

    size: int
    sha256: str


class Manifest(Entry):
    """What a bundle holds and where it came from. It has no time stamp: the same inputs give the same bytes."""

    schema_version: str = SCHEMA_VERSION
    created_by: str
    base_model: BaseEntry
    adapter: AdapterEntry | None
    architecture: Architecture
    pooling: str
    normalize: bool
    max_tokens: int
    dimension: int
    files: dict[str, FileEntry]
    fingerprint: str = ""
    parity: dict[str, Any]

    def to_json(self) -> str:
        """Return the file's text."""
        return self.model_dump_json(indent=2) + "\n"


def fingerprint(manifest: Manifest) -> str:
    """Return the namespace of the bundle's vectors: the SHA-256, in hex, of a text that names what shapes them.

    The text has one ``key=value`` a line; native/core computes the same. calibration.json is left out: a new
    threshold changes no vector, so recalibrating must not empty a cache.
    """
    adapter = manifest.adapter
    lines = [
        "cachelora-fingerprint-1",
        f"base_model.id={manifest.base_model.id}",
        f"base_model.revision={manifest.base_model.revision or '-'}",
        f"base_model.sha256={manifest.base_model.sha256}",
        f"adapter.id={adapter.id if adapter else '-'}",
        f"adapter.sha256={adapter.sha256 if adapter else '-'}",
        f"model_type={manifest.architecture.model_type}",
        f"pooling={manifest.pooling}",
        f"normalize={str(manifest.normalize).lower()}",
        f"max_tokens={manifest.max_tokens}",
        f"dimension={manifest.dimension}",
        *(f"file={name} {entry.sha256}" for name, entry in sorted(manifest.files.items()) if name != CALIBRATION),
    ]
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
