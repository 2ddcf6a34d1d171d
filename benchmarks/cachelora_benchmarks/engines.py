"""The engines that are compared: each turns one text into one vector, on one thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from cachelora import Embedder
from cachelora_training.bases import resolve_base
from numpy.typing import NDArray

__all__ = ["Engine", "native_engine", "onnxruntime_engine", "sentence_transformers_engine"]

Engine = Callable[[str], NDArray[np.float32]]


def native_engine(bundle: Path) -> tuple[str, Engine]:
    """Return ours: the bundle through the native core."""
    embedder = Embedder(bundle)
    return f"cachelora ({embedder.backend})", embedder.encode


def onnxruntime_engine(bundle: Path, max_tokens: int) -> tuple[str, Engine]:
    """Return ONNX Runtime's Python API on the bundle's model.onnx, with the tokenizers package."""
    import onnxruntime
    from tokenizers import Tokenizer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(bundle / "model.onnx"), options, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    tokenizer.enable_truncation(max_tokens)

    def encode(text: str) -> NDArray[np.float32]:
        ids = np.array([tokenizer.encode(text).ids], dtype=np.int64)
        (vectors,) = session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        vector: NDArray[np.float32] = vectors[0]
        return vector

    return "onnxruntime (Python)", encode


def sentence_transformers_engine(base_model: str) -> tuple[str, Engine]:
    """Return sentence-transformers on PyTorch with the base model; a merged adapter costs the same."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    encoder: Any = SentenceTransformer(str(resolve_base(base_model).path), device="cpu", local_files_only=True)
    encoder.eval()

    def encode(text: str) -> NDArray[np.float32]:
        vector: NDArray[np.float32] = encoder.encode(text, show_progress_bar=False)
        return vector

    return "sentence-transformers (PyTorch)", encode
