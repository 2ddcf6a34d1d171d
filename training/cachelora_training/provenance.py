"""Which data a result came from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cachelora_training.hashing import sha256_of_file
from cachelora_training.questions import Row
from cachelora_training.rows import local_file

__all__ = ["describe_data"]


def describe_data(sources: Sequence[str], rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return name, SHA-256 and number of rows of each data file.

    A local file is named by its last two parts: a machine's directories are nobody else's business.
    """
    return [
        {
            "name": source if source.startswith("hf://") else "/".join(Path(source).parts[-2:]),
            "sha256": sha256_of_file(local_file(source)),
            "rows": sum(1 for row in rows if row.source.rpartition(":")[0] == source),
        }
        for source in sources
    ]
