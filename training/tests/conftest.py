"""Tiny models and rows for the tests of this room."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_bundle
from cachelora_export import export_bundle

Rows = list[dict[str, object]]


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Path:
    return tiny_bundle.make_base(tmp_path_factory.mktemp("models") / "tiny-base")


@pytest.fixture(scope="session")
def adapter(base, tmp_path_factory) -> Path:
    return tiny_bundle.make_adapter(base, tmp_path_factory.mktemp("models") / "tiny-lora")


@pytest.fixture(scope="session")
def bundle(base, adapter, tmp_path_factory) -> Path:
    """Return what users of the adapter are served: its int8 weights."""
    directory = tmp_path_factory.mktemp("models") / "bundle"
    export_bundle(str(base), str(adapter), directory, int8=True)
    return directory


@pytest.fixture
def tiny_copy(tmp_path) -> Path:
    """Return a bundle that a test may change, a copy of what tests/tiny_bundle.py wrote."""
    return Path(shutil.copytree(Path(os.environ["CACHELORA_TEST_TINY"]) / "bundle-int8", tmp_path / "bundle"))


@pytest.fixture
def write(tmp_path) -> Callable[[str, Rows], str]:
    """Write rows to a JSON Lines file and return its path."""

    def write_rows(name: str, rows: Rows) -> str:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return str(path)

    return write_rows


def numbered(count: int, start: int = 0) -> Rows:
    return [
        {
            "anchor": f"how can i reset my password {number}",
            "positive": f"what is the way to change my password {number}",
            "negative": f"how can i reset my card {number}",
            "domain": "support" if number % 2 else "general",
            "kind": "entity",
        }
        for number in range(start, start + count)
    ]


@pytest.fixture(scope="session")
def rows() -> Callable[..., Rows]:
    return numbered
