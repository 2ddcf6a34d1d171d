"""What a finished stage leaves behind: a stamp, by which a later run knows whether the stage's work still holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cachelora_training.directories import write_text_atomically
from cachelora_training.hashing import sha256_of_file

__all__ = ["Stamp", "digest_of", "hash_if_there", "read_stamp", "why_stale", "write_stamp"]


@dataclass(frozen=True)
class Stamp:
    """One finished stage.

    Attributes:
        stage: Its name.
        inputs: By name, all that shaped the outputs: hashes of files, settings, the package's version.
        inputs_sha256: Of ``inputs`` together.
        outputs: SHA-256 of each output by its path in the pipeline's directory.
        seconds: How long the stage took.
        facts: What it has to say.
    """

    stage: str
    inputs: dict[str, Any]
    inputs_sha256: str
    outputs: dict[str, str]
    seconds: float
    facts: dict[str, Any]


def digest_of(value: object) -> str:
    """Return the SHA-256 of a value that JSON can hold; the order of keys does not count."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def hash_if_there(path: Path) -> str | None:
    """Return the SHA-256 of a file, None where there is none."""
    return sha256_of_file(path) if path.is_file() else None


def read_stamp(path: Path) -> Stamp | None:
    """Return the stamp in a file; None where there is none, or none that can be trusted."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        sealed = content.pop("sha256")
        return Stamp(**content) if sealed == digest_of(content) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def write_stamp(path: Path, stamp: Stamp) -> None:
    """Write a stamp: completely or not at all."""
    content = asdict(stamp)
    # Later stages and the card build on the facts, so a stamp vouches for itself as well.
    content["sha256"] = digest_of(content)
    write_text_atomically(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def why_stale(stamp: Stamp | None, inputs: Mapping[str, Any], outputs: Mapping[str, str | None]) -> str | None:
    """Return why a stage must run, None if its outputs can be used as they are.

    Args:
        stamp: What the stage left behind.
        inputs: Its inputs now.
        outputs: The SHA-256 of its outputs now, None for what is missing or can't be read.
    """
    if stamp is None:
        return "not done yet"
    if stamp.inputs_sha256 != digest_of(inputs):
        now = json.loads(json.dumps(inputs))
        changed = sorted(key for key in stamp.inputs.keys() | now.keys() if stamp.inputs.get(key) != now.get(key))
        return f"changed: {', '.join(changed)}"
    damaged = sorted(
        name for name in stamp.outputs.keys() | outputs.keys() if stamp.outputs.get(name) != outputs.get(name)
    )
    return f"missing or damaged: {', '.join(damaged)}" if damaged else None
