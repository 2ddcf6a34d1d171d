"""Where this Python keeps ONNX Runtime, and whether a bundle is whole."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from os import PathLike
from pathlib import Path

from cachelora import _native

__all__ = ["OnnxRuntime", "find_onnxruntime", "site_packages_with_onnxruntime", "verify_bundle"]


@dataclass(frozen=True)
class OnnxRuntime:
    """An ONNX Runtime library that can be used."""

    path: Path
    source: str
    version: str
    tried: str


def site_packages_with_onnxruntime() -> list[Path]:
    """Return the directories in which this interpreter would import ``onnxruntime`` from.

    Nothing is imported: importing the wheel would load a second copy of the runtime.
    """
    spec = find_spec("onnxruntime")
    locations = (spec.submodule_search_locations if spec else None) or []
    return [Path(location).parent for location in locations]


def find_onnxruntime(onnxruntime_path: str | PathLike[str] | None = None) -> OnnxRuntime:
    """Return the library that an :class:`~cachelora.Embedder` would use, and the places tried.

    Raises:
        RuntimeNotFoundError, RuntimeInvalidError, RuntimeTooOldError: no library can be used.
    """
    explicit = None if onnxruntime_path is None else Path(onnxruntime_path)
    return OnnxRuntime(*_native.find_onnxruntime(explicit, site_packages_with_onnxruntime()))


def verify_bundle(path: str | PathLike[str]) -> None:
    """Hash every file of a bundle, also those that an :class:`~cachelora.Embedder` would not read.

    Raises:
        BundleNotFoundError, BundleInvalidError, BundleCorruptError, SchemaUnsupportedError: what differs, and where.
    """
    _native.verify_bundle(Path(path))
