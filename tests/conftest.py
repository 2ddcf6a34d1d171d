"""What the tests share: the tiny bundle that `make` builds, read once."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray


@dataclass(frozen=True)
class Tiny:
    """Directories and golden vectors that tests/tiny_bundle.py wrote."""

    root: Path
    texts: list[str]
    tokens: list[int]
    max_tokens: int
    vectors: NDArray[np.float32]

    @property
    def bundle(self) -> Path:
        return self.root / "bundle"

    @property
    def base(self) -> Path:
        return self.root / "base"

    @property
    def adapter(self) -> Path:
        return self.root / "adapter"


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    root = os.environ.get("CACHELORA_TEST_TINY")
    if root is None:
        pytest.fail("CACHELORA_TEST_TINY names what `python tests/tiny_bundle.py DIRECTORY` wrote; `make test` sets it")
    golden = json.loads((Path(root) / "golden.json").read_text(encoding="utf-8"))
    return Tiny(
        root=Path(root),
        texts=golden["texts"],
        tokens=golden["tokens"],
        max_tokens=golden["max_tokens"],
        vectors=np.array(golden["vectors"], dtype=np.float32),
    )
