"""Where a training run is kept while it goes on, so that a killed one continues and a foreign one is refused."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cachelora_training.directories import write_text_atomically
from cachelora_training.errors import CheckpointError
from cachelora_training.processes import is_first

__all__ = ["Checkpoints", "is_finished"]

RUN = "run.json"
COMPLETE = "complete"
STATE = "trainer_state.json"


class Checkpoints:
    """A directory with the last checkpoints of one run; several machines must share it.

    Args:
        directory: Made when the run starts.
        run: What the final weights depend on: recipe, hashes of base and data. JSON values only.
    """

    def __init__(self, directory: Path, run: Mapping[str, Any]) -> None:
        self.directory = directory
        self.run = dict(run)

    def open(self) -> Path | None:
        """Return the checkpoint to continue from, None to begin.

        Raises:
            CheckpointError: the directory belongs to another run; the message has every difference.
        """
        path = self.directory / RUN
        if path.is_file():
            self._check(path)
        elif is_first():
            write_text_atomically(path, json.dumps(self.run, indent=2) + "\n")
        complete = [found for found in self._all() if (found / COMPLETE).is_file()]
        if is_first():
            for found in self._all():
                # A process was killed while it wrote this one.
                if found not in complete:
                    shutil.rmtree(found)
        return max(complete, key=_step, default=None)

    def seal(self, step: int) -> None:
        """Mark the checkpoint of a step as complete once everything in it is on the disk."""
        directory = self.directory / f"checkpoint-{step}"
        for path in sorted(directory.iterdir()):
            with path.open("rb") as file:
                os.fsync(file.fileno())
        write_text_atomically(directory / COMPLETE, "")

    def remove(self) -> None:
        """Remove what this class knows, and the directory if nothing else is in it."""
        for found in self._all():
            shutil.rmtree(found)
        (self.directory / RUN).unlink(missing_ok=True)
        with suppress(OSError):
            self.directory.rmdir()

    def _all(self) -> list[Path]:
        return [path for path in self.directory.glob("checkpoint-*") if path.name.partition("-")[2].isdecimal()]

    def _check(self, path: Path) -> None:
        try:
            there = dict(_flat(json.loads(path.read_text(encoding="utf-8"))))
        except ValueError as error:
            raise CheckpointError(f"{path}: can't be read ({error}); remove {self.directory} to begin anew") from error
        here = dict(_flat(json.loads(json.dumps(self.run))))
        different = [
            f"  {key}: {there.get(key)!r} there, {here.get(key)!r} here"
            for key in sorted(there.keys() | here.keys())
            if there.get(key) != here.get(key)
        ]
        if different:
            raise CheckpointError(
                "\n".join(
                    [
                        f"{self.directory}: holds the checkpoints of another training run:",
                        *different,
                        "Repeat that run's settings to continue it, remove the directory to begin anew, or choose "
                        "another with --checkpoints.",
                    ]
                )
            )


def is_finished(checkpoint: Path) -> bool:
    """Whether no step is left after a checkpoint."""
    state = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    return bool(state["global_step"] >= state["max_steps"])


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.partition("-")[2])


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested mappings by dotted key."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, value
