"""What a directory or a repository holds, and which of its files may travel."""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path, PurePosixPath

from cachelora.errors import HubError

__all__ = [
    "ADAPTER_CONFIG",
    "ADAPTER_WEIGHTS",
    "ALLOWED_PATTERNS",
    "CARD",
    "MANIFEST",
    "Kind",
    "allowed",
    "check_content",
    "is_pickle",
    "kind_of",
]

MANIFEST = "cachelora.json"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
CARD = "README.md"

TEXT_ENDINGS = (".json", ".jsonl", ".md", ".txt")
DATA_ENDINGS = (".onnx", ".safetensors")
LICENSES = ("LICENSE", "NOTICE")
# Everything else stays where it is: a pickle is a program, and so is whatever a loader may unpickle.
ALLOWED_PATTERNS = [*(f"*{ending}" for ending in TEXT_ENDINGS + DATA_ENDINGS), *LICENSES]
PICKLE_ENDINGS = (".bin", ".ckpt", ".joblib", ".msgpack", ".npy", ".npz", ".pickle", ".pkl", ".pt", ".pth")


class Kind(StrEnum):
    """What `pull` and `push` know."""

    ADAPTER = "adapter"
    BUNDLE = "bundle"
    DATASET = "dataset"

    @property
    def repository(self) -> str:
        """The hub's name for the repositories that hold it."""
        return "dataset" if self is Kind.DATASET else "model"


def kind_of(names: Iterable[str]) -> Kind | None:
    """Return what a repository of models with these files is: a bundle, an adapter, or None for neither."""
    there = set(names)
    if MANIFEST in there:
        return Kind.BUNDLE
    if ADAPTER_CONFIG in there and ADAPTER_WEIGHTS in there:
        return Kind.ADAPTER
    return None


def allowed(name: str) -> bool:
    """Whether a file of this name may travel."""
    return name.endswith(TEXT_ENDINGS + DATA_ENDINGS) or name in LICENSES


def is_pickle(name: str) -> bool:
    """Whether files of this name are, or may hold, pickles."""
    return PurePosixPath(name).suffix.lower() in PICKLE_ENDINGS


def check_content(path: Path) -> None:
    """Refuse a file whose content is not what its name says, so that no pickle travels under another name.

    Raises:
        HubError: the file, and what was expected.
    """
    with path.open("rb") as file:
        if path.suffix == ".safetensors":
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= path.stat().st_size - 8 or not _is_object(file.read(length)):
                raise HubError(f"{path}: is no safetensors file; write it with safetensors, not with torch.save")
        elif path.suffix == ".onnx":
            # A model begins with field 1 (ir_version) as a varint; pickles begin with 0x80, archives with PK.
            if file.read(1) != b"\x08":
                raise HubError(f"{path}: is no ONNX model")
        else:
            try:
                for line in file:
                    line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise HubError(f"{path}: is not UTF-8 text, as its name says: {error}") from error


def _is_object(header: bytes) -> bool:
    try:
        return isinstance(json.loads(header), dict)
    except ValueError:
        return False
