"""What can be measured: a base model, adapters on it, and bundles as they are served."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cachelora import Embedder
from cachelora.errors import UsageError

from cachelora_training.adapters import load_encoder, resolve_adapter
from cachelora_training.bases import resolve_base
from cachelora_training.encoding import encode_function
from cachelora_training.measures import Encode

__all__ = ["Model", "models_of"]


@dataclass(frozen=True)
class Model:
    """Something that turns texts into vectors.

    Attributes:
        name: Unique among the models measured together.
        role: ``base``, ``adapter`` or ``bundle``.
        identity: What it is, for provenance: ``sha256``, with ``revision`` for a base, or ``fingerprint``.
        opened: A context manager that loads it, gives ``(encode, backend)``, and frees it again.
    """

    name: str
    role: str
    identity: dict[str, Any]
    opened: Callable[[], Any]


def models_of(base_name: str | None, adapters: Sequence[str], bundles: Sequence[Path]) -> list[Model]:
    """Find the models, in order: the base, adapters on it, bundles. None is loaded yet, bundles are verified.

    Raises:
        UsageError: nothing is named, or adapters without a base.
        BaseModelError, AdapterError, HubError, BundleNotFoundError, ...: what is named can't be had or used.
    """
    if base_name is None and adapters:
        raise UsageError("an adapter needs the base model that it was trained on")
    models: list[Model] = []
    if base_name is not None:
        base = resolve_base(base_name)
        models.append(_base_or_adapter(base.name, "base", base, None))
        for name in adapters:
            adapter = resolve_adapter(name)
            models.append(_base_or_adapter(adapter.name, "adapter", base, adapter))
    models += [_bundle(directory) for directory in bundles]
    if not models:
        raise UsageError("nothing to measure: a base model, adapters or bundles are needed")
    return _with_unique_names(models)


def _base_or_adapter(name: str, role: str, base: Any, adapter: Any) -> Model:
    @contextmanager
    def opened() -> Iterator[tuple[Encode, str]]:
        yield encode_function(load_encoder(base, adapter)), "pytorch"

    if adapter is None:
        identity = {"revision": base.revision, "sha256": base.weights_sha256}
    else:
        identity = {"sha256": adapter.weights_sha256}
    return Model(name, role, identity, opened)


def _bundle(directory: Path) -> Model:
    with Embedder(directory) as embedder:
        fingerprint = embedder.fingerprint

    @contextmanager
    def opened() -> Iterator[tuple[Encode, str]]:
        with Embedder(directory, threads=len(os.sched_getaffinity(0))) as embedder:
            yield embedder.encode, embedder.backend

    return Model(directory.resolve().name, "bundle", {"fingerprint": fingerprint}, opened)


def _with_unique_names(models: list[Model]) -> list[Model]:
    """Number those of one name: two directories may both be called ``adapter``."""
    taken: set[str] = set()
    renamed: list[Model] = []
    for model in models:
        name, count = model.name, 1
        while name in taken:
            count += 1
            name = f"{model.name} ({count})"
        taken.add(name)
        renamed.append(Model(name, model.role, model.identity, model.opened))
    return renamed
