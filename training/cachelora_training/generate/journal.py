"""Every answer is kept as it arrives, so that a killed run repeats no request."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cachelora.errors import UsageError

__all__ = ["Journal"]


class Journal:
    """An append-only file beside the output: what was asked for, then one line per answer.

    Each line is flushed to the disk before the next request may depend on it. A line that a kill cut in half is
    dropped when the file is opened again.

    Args:
        path: The file.
        settings: What shapes the answers. A journal of other settings is refused, because its answers would not
            be those that this run asks for.

    Raises:
        UsageError: another run has the file open, or it belongs to one with other settings, which are named.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.entries: dict[str, dict[str, Any]] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        # Appending creates the file; reading and cutting it need the other mode.
        path.open("ab").close()
        self._file = path.open("r+b")
        try:
            self._lock()
            # What follows the last newline is empty, or was cut off.
            complete = self._file.read().split(b"\n")[:-1]
            if complete and not self._read(complete, settings):
                complete = []
        except BaseException:
            self._file.close()
            raise
        self._file.truncate(sum(len(line) + 1 for line in complete))
        self._file.seek(0, os.SEEK_END)
        if not complete:
            self._append({"settings": dict(settings)})

    def _lock(self) -> None:
        """Keep a second run away as long as the file is open; a killed run's lock is gone with it."""
        try:
            import fcntl
        except ImportError:  # there are no such locks on Windows
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"{self.path}: another run is writing it; choose another output") from error

    def _read(self, lines: list[bytes], settings: Mapping[str, Any]) -> bool:
        """Take over what is there; return whether there is anything worth keeping."""
        try:
            head, *rows = [json.loads(line) for line in lines]
            kept = head["settings"]
            self.entries = {row["key"]: row for row in rows}
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{self.path}: is no journal of an unfinished run ({error!r}); delete it") from error
        wanted = json.loads(json.dumps(dict(settings)))
        if kept != wanted and not rows:
            return False
        if kept != wanted:
            changed = sorted(key for key in kept.keys() | wanted.keys() if kept.get(key) != wanted.get(key))
            raise UsageError(
                f"{self.path}: an unfinished run with other settings is there ({', '.join(changed)}); "
                "finish it with its own settings, or delete the file to start over"
            )
        return True

    def record(self, key: str, **content: Any) -> None:
        """Keep one answer under its key."""
        row = {"key": key, **content}
        self._append(row)
        self.entries[key] = row

    def _append(self, row: dict[str, Any]) -> None:
        self._file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def finish(self) -> None:
        """Close and delete the file: everything in it is in the output now."""
        self._file.close()
        self.path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
