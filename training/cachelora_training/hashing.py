"""Hashes of files, for provenance."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["sha256_of_file"]


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file in lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
