"""Directories that appear complete or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cachelora.errors import OutputExistsError, UsageError

__all__ = ["check_output", "check_output_file", "complete_directory", "write_bytes_atomically", "write_text_atomically"]


def check_output(output: Path, *, force: bool) -> None:
    """Refuse to write over what is there, before any work is done.

    Raises:
        OutputExistsError: ``output`` exists and ``force`` is false, or it is no directory.
    """
    if output.exists() and not output.is_dir():
        raise OutputExistsError(f"{output}: is a file, a directory will be written")
    if output.exists() and any(output.iterdir()) and not force:
        raise OutputExistsError(f"{output}: is already there; choose another output or give --force")


def check_output_file(output: Path) -> None:
    """Refuse a file that can't be written, before any work is done; its directory is made.

    Raises:
        UsageError: ``output`` is a directory, or nothing can be written beside it.
    """
    if output.is_dir():
        raise UsageError(f"{output}: is a directory, a file will be written")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        # Permissions do not tell everything: a file system may be full or read-only.
        with tempfile.TemporaryFile(dir=output.parent):
            pass
    except OSError as error:
        raise UsageError(f"{output}: can't be written: {error.strerror}") from error


@contextmanager
def complete_directory(output: Path) -> Iterator[Path]:
    """Yield a temporary directory beside ``output`` that takes its place when the block succeeds.

    An older ``output`` stays in place until then. A failed block leaves nothing behind; a killed one leaves a
    directory whose name begins with a dot and ends in ``.partial``.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".partial", dir=output.parent))
    try:
        yield partial
        partial.chmod(0o755)
        for path in sorted(partial.rglob("*")):
            _flush(path)
        _flush(partial)
        replaced = None
        if output.exists():
            replaced = partial.with_suffix(".replaced")
            output.rename(replaced)
        partial.rename(output)
        _flush(output.parent)
        if replaced is not None:
            shutil.rmtree(replaced)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def write_text_atomically(path: Path, text: str) -> None:
    """Write ``text`` in UTF-8 so that a reader sees the old content or the new, never a part."""
    write_bytes_atomically(path, text.encode())


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` so that a reader sees the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        partial.chmod(0o644)
        _flush(partial)
        partial.replace(path)
        _flush(path.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _flush(path: Path) -> None:
    """Make a rename that follows durable only after the content is."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
