"""From the hub to this machine: one commit, no pickles, cached, verified."""

from __future__ import annotations

import filecmp
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cachelora.directories import check_output, complete_directory
from cachelora.errors import BundleCorruptError, HubError, RuntimeInvalidError, RuntimeNotFoundError
from cachelora.hub.client import explain, hub_api, is_final, split_id
from cachelora.hub.kinds import ADAPTER_CONFIG, ADAPTER_WEIGHTS, ALLOWED_PATTERNS, MANIFEST, Kind, allowed, kind_of

if TYPE_CHECKING:
    from huggingface_hub import HfApi

__all__ = ["MODELS_VARIABLE", "Pulled", "place_of", "pull"]

# Where serving programs look for bundles by name.
MODELS_VARIABLE = "CACHELORA_MODELS"


@dataclass(frozen=True)
class Pulled:
    """What was pulled.

    Attributes:
        id: ``owner/name``.
        kind: Adapter, bundle or data set.
        revision: What was asked for: a branch, a tag, a commit; None for the default branch.
        commit: The commit that it was, 40 hexadecimal digits.
        path: The directory that holds the files.
        files: Size in bytes by name.
        left_out: Names of the repository's files that are not of an allowed kind; empty where the hub was not asked.
        unreachable: Why the copy in the cache was used; None where the hub answered.
        fingerprint: The bundle's, None for the other kinds and where no ONNX Runtime could open it.
    """

    id: str
    kind: Kind
    revision: str | None
    commit: str
    path: Path
    files: dict[str, int]
    left_out: list[str]
    unreachable: str | None
    fingerprint: str | None

    @property
    def bytes(self) -> int:
        """The size of all files together."""
        return sum(self.files.values())


def pull(name: str, *, kind: Kind | None = None, output: Path | None = None, force: bool = False) -> Pulled:
    """Bring ``owner/name[@revision]`` to this machine and verify it.

    The hub client's cache keeps every commit, so that a second pull needs no hub. Without ``output`` the result
    is the cache's own directory; for a bundle it is the place below CACHELORA_MODELS, where that is set.

    Args:
        name: A place on the hub.
        kind: What to expect; None takes what the model repository holds.
        output: A directory to copy the files to; it appears complete or not at all.
        force: Replace ``output`` if it is there.

    Raises:
        UsageError, HubError, OutputExistsError, BundleInvalidError, BundleCorruptError.
    """
    identifier, revision = split_id(name)
    if output is not None:
        check_output(output, force=force)
    snapshot, left_out, unreachable = _fetch(hub_api(), identifier, kind, revision)
    files = {path.relative_to(snapshot).as_posix(): path for path in sorted(snapshot.rglob("*")) if path.is_file()}
    found = _checked_kind(identifier, kind, files)
    for path in files.values():
        _check_hash(path)
    fingerprint = _verified(snapshot) if found is Kind.BUNDLE else None

    path = snapshot
    if output is not None:
        path = output
        _copy(files, path)
    elif found is Kind.BUNDLE and (place := place_of(identifier)) is not None:
        path = place
        if not _same(files, path):
            _copy(files, path)
    return Pulled(
        id=identifier,
        kind=found,
        revision=revision,
        commit=snapshot.name,
        path=path,
        files={name: path.stat().st_size for name, path in files.items()},
        left_out=left_out,
        unreachable=unreachable,
        fingerprint=fingerprint,
    )


def place_of(identifier: str) -> Path | None:
    """Return where serving programs look for the bundle ``owner/name``; None without CACHELORA_MODELS."""
    models = os.environ.get(MODELS_VARIABLE)
    return Path(models) / identifier.replace("/", "--") if models else None


def _fetch(api: HfApi, identifier: str, kind: Kind | None, revision: str | None) -> tuple[Path, list[str], str | None]:
    """Return the cache's directory of one commit, the names that were left out, and why the hub was not asked."""
    repository = (kind or Kind.ADAPTER).repository
    wanted: dict[str, Any] = {"repo_type": repository, "revision": revision}
    left_out: list[str] = []
    unreachable = None
    try:
        names = [file.rfilename for file in api.repo_info(identifier, timeout=10, **wanted).siblings or []]
    except Exception as error:
        failure = explain(error, identifier, repository, revision)
        if is_final(error):
            raise failure from error
        unreachable = str(failure)
    else:
        # Before anything is downloaded: what is not ours may be very large.
        _checked_kind(identifier, kind, names)
        left_out = [name for name in names if not allowed(name) and not name.startswith(".")]
    try:
        path = api.snapshot_download(
            identifier, allow_patterns=ALLOWED_PATTERNS, local_files_only=unreachable is not None, **wanted
        )
    except Exception as error:
        if unreachable is not None:
            raise HubError(f"{unreachable}; and no earlier pull left this revision in the cache") from error
        raise explain(error, identifier, repository, revision) from error
    return Path(path), left_out, unreachable


def _checked_kind(identifier: str, kind: Kind | None, names: Any) -> Kind:
    """Return what the files are, refusing what was not asked for."""
    names = list(names)
    if kind is Kind.DATASET:
        if not any(name.endswith((".jsonl", ".json")) for name in names):
            raise HubError(f"{identifier}: holds no .jsonl file; test sets are rows in JSON lines")
        return kind
    if kind is Kind.BUNDLE and MANIFEST not in names:
        raise HubError(f"{identifier}: holds no {MANIFEST}, so it is no bundle; `cachelora export` writes one")
    if ADAPTER_CONFIG in names and ADAPTER_WEIGHTS not in names and MANIFEST not in names:
        raise HubError(
            f"{identifier}: has {ADAPTER_CONFIG} but no {ADAPTER_WEIGHTS}; weights in a pickle are never downloaded, "
            "ask its owner for safetensors"
        )
    if kind is Kind.ADAPTER and not {ADAPTER_CONFIG, ADAPTER_WEIGHTS} <= set(names):
        raise HubError(f"{identifier}: holds no {ADAPTER_CONFIG} with {ADAPTER_WEIGHTS}, so it is no PEFT adapter")
    found = kind or kind_of(names)
    if found is None:
        raise HubError(
            f"{identifier}: is neither a bundle ({MANIFEST}) nor a PEFT adapter ({ADAPTER_CONFIG}, {ADAPTER_WEIGHTS})"
        )
    return found


def _check_hash(path: Path) -> None:
    """Compare a large file with the SHA-256 by which the hub's cache names it; small ones are plain git blobs.

    The client checks sizes only, and a disk may lose bits after the download.
    """
    expected = path.resolve().name
    if len(expected) != 64 or path.name == expected:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise HubError(f"{path}: has SHA-256 {found}, the hub says {expected}; delete {path.resolve()} and pull again")


def _verified(directory: Path) -> str | None:
    """Verify a bundle's hashes by opening it, and return its fingerprint."""
    from cachelora import Embedder

    try:
        with Embedder(directory) as embedder:
            return embedder.fingerprint
    except (RuntimeNotFoundError, RuntimeInvalidError):
        # Hashes are verified before ONNX Runtime is looked for; a machine that only fetches needs none.
        return None
    except BundleCorruptError as error:
        raise BundleCorruptError(f"{error}; damaged before it was pushed, or in the cache") from error


def _copy(files: dict[str, Path], place: Path) -> None:
    with complete_directory(place) as directory:
        for name, path in files.items():
            target = directory / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def _same(files: dict[str, Path], place: Path) -> bool:
    there = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
    return there == set(files) and all(filecmp.cmp(path, place / name, shallow=False) for name, path in files.items())
