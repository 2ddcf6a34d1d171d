"""Files and directories that are named by a path or by a place on the hub."""

from __future__ import annotations

from pathlib import Path

from cachelora.errors import HubError

__all__ = ["HubError", "download_file", "download_snapshot", "split_revision"]


def split_revision(name: str) -> tuple[str, str | None]:
    """Split ``owner/name@revision``; the revision is None where none is given."""
    identifier, _, revision = name.partition("@")
    return identifier, revision or None


def download_snapshot(name: str, patterns: list[str]) -> tuple[Path, str]:
    """Return a local copy of the repository ``owner/name[@revision]`` and its commit.

    Only files that match ``patterns`` are fetched, so that no pickle is ever downloaded. A copy in the
    hub's cache is enough where the hub can't be reached.

    Raises:
        HubError: with the repository and what the hub answered.
    """
    from huggingface_hub import snapshot_download

    identifier, revision = split_revision(name)
    try:
        path = Path(snapshot_download(identifier, revision=revision, allow_patterns=patterns))
    except Exception as error:  # the client raises many kinds; each names its own cause
        raise HubError(f"{name}: can't be had from the hub: {error}") from error
    return path, path.name


def download_file(repository: str, path: str, *, kind: str, revision: str | None) -> Path:
    """Return a local copy of one file of a hub repository; ``kind`` is ``model`` or ``dataset``.

    Raises:
        HubError: with the repository, the file and what the hub answered.
    """
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, path, repo_type=kind, revision=revision))
    except Exception as error:  # as above
        raise HubError(f"{repository}: {path} can't be had from the hub: {error}") from error
