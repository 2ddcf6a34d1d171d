"""Encoding many texts with PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from cachelora.terminal import progress

from cachelora_training.measures import Encode, Floats

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["encode_function"]

BATCH = 64


def encode_function(encoder: SentenceTransformer) -> Encode:
    """Return a function from n texts to float32 vectors, (n, dimension), that shows progress on stderr."""

    def encode(texts: list[str]) -> Floats:
        # Batches of like length waste little on padding.
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        parts: list[Floats] = []
        with progress() as display:
            task = display.add_task("encode", total=len(texts))
            for start in range(0, len(texts), BATCH):
                part = [texts[index] for index in order[start : start + BATCH]]
                vectors = encoder.encode(part, batch_size=BATCH, show_progress_bar=False, convert_to_numpy=True)
                parts.append(np.asarray(vectors, dtype=np.float32))
                display.advance(task, len(part))
        stacked = np.concatenate(parts)
        result = np.empty_like(stacked)
        result[order] = stacked
        return result

    return encode
