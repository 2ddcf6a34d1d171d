"""The exported graph against the PyTorch model that it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from cachelora.terminal import progress
from numpy.typing import NDArray

from cachelora_export.errors import ParityError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

__all__ = ["COSINE_BOUND", "LONGEST", "TEXTS", "measure_int8_parity", "measure_parity", "texts_of_many_lengths"]

# A float32 graph that computes the same function differs by rounding alone: 1 - cosine is then near 1e-7.
COSINE_BOUND = 0.99999
# int8 weights and activations cost more: all-MiniLM-L6-v2 has mean 0.9990 and minimum 0.9972 on 840 real questions.
INT8_MEAN_BOUND = 0.998
INT8_COSINE_BOUND = 0.99
TEXTS = 200
SHORTEST = 3
LONGEST = 128
WORST_SHOWN = 3

Vectors = NDArray[np.float32]


def texts_of_many_lengths(tokenizer: Tokenizer, max_tokens: int, *, count: int = TEXTS) -> list[str]:
    """Return ``count`` distinct texts whose lengths climb evenly from 3 to min(128, max_tokens) tokens.

    Each is a run of words from the sentences in parity_texts.txt, of which every text starts at another place.
    Special tokens are counted.
    """
    words = files("cachelora_export").joinpath("parity_texts.txt").read_text(encoding="utf-8").split()
    longest = min(LONGEST, max_tokens)
    # A word's own tokens do not depend on its neighbours, as far as BERT-like tokenizers go; the texts' true
    # lengths are counted again where they are used.
    special = len(tokenizer.encode("").ids)
    tokens = [max(1, len(tokenizer.encode(word, add_special_tokens=False).ids)) for word in words]
    texts: list[str] = []
    seen: set[str] = set()
    start = 0
    while len(texts) < count:
        goal = SHORTEST + round((longest - SHORTEST) * len(texts) / (count - 1)) - special
        while tokens[start % len(words)] > goal:
            start += 1
        run: list[str] = []
        length = 0
        for offset in range(len(words)):
            place = (start + offset) % len(words)
            if length + tokens[place] > goal:
                continue
            run.append(words[place])
            length += tokens[place]
            if length == goal:
                break
        text = " ".join(run)
        if text not in seen:
            seen.add(text)
            texts.append(text)
        start += 7
    return texts


def measure_parity(
    graph: Path,
    reference: SentenceTransformer,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    *,
    max_tokens: int,
    reference_name: str,
) -> dict[str, Any]:
    """Compare the graph's vectors with PyTorch's, each text alone; return the manifest's parity record.

    Args:
        graph: model.onnx, merged.
        reference: The PyTorch model with its adapter not merged.
        tokenizer: The bundle's tokenizer.
        texts: What to compare on.
        max_tokens: Where texts are cut.
        reference_name: How the record calls the reference.

    Raises:
        ParityError: the lowest cosine is below COSINE_BOUND; the message shows the worst texts.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    tokenizer.enable_truncation(max_tokens)
    rows = [tokenizer.encode(text).ids for text in texts]
    tokenizer.no_truncation()

    exported = np.empty((len(texts), session.get_outputs()[0].shape[1]), dtype=np.float32)
    original = np.empty_like(exported)
    with progress() as display:
        task = display.add_task("parity", total=len(texts))
        for index, (text, ids) in enumerate(zip(texts, rows, strict=True)):
            exported[index] = _run(session, [ids])[0]
            original[index] = reference.encode(text, show_progress_bar=False, normalize_embeddings=True)
            display.advance(task)
    batch = list(range(0, len(texts), max(1, len(texts) // 8)))
    together = _run(session, [rows[index] for index in batch])

    cosines = _cosines(exported, original)
    lowest = float(cosines.min())
    record = {
        "reference": reference_name,
        "texts": len(texts),
        "tokens_min": min(len(ids) for ids in rows),
        "tokens_max": max(len(ids) for ids in rows),
        "cosine_bound": COSINE_BOUND,
        "cosine_min": lowest,
        "cosine_mean": float(cosines.mean()),
        "max_abs_difference": float(np.abs(exported - original).max()),
        "max_abs_difference_in_batch": float(np.abs(together - exported[batch]).max()),
        "probe": {"text": texts[0], "vector": [float(str(value)) for value in original[0]]},
    }
    # Written so that NaN fails.
    if not lowest >= COSINE_BOUND:
        worst = np.argsort(np.nan_to_num(cosines, nan=-2.0))[:WORST_SHOWN]
        shown = "\n".join(f"  {cosines[index]:.6f}  {texts[index]!r}" for index in worst)
        raise ParityError(
            f"the exported model differs from {reference_name}: lowest cosine {lowest:.6f}, at least "
            f"{COSINE_BOUND} was expected; no bundle was written. The worst of {len(texts)} texts:\n{shown}"
        )
    return record


def measure_int8_parity(bundle: Path, texts: Sequence[str]) -> dict[str, Any]:
    """Compare the fused encoder with the same bundle's float32 graph; return the manifest's record.

    Args:
        bundle: A complete bundle with both models.
        texts: What to compare on.

    Raises:
        ParityError: the mean or lowest cosine is below its bound; the message shows the worst texts.
        RuntimeNotFoundError, RuntimeInvalidError, RuntimeTooOldError: no ONNX Runtime can be used.
    """
    from cachelora import Embedder

    with Embedder(bundle, backend="fused") as fused, Embedder(bundle, backend="onnxruntime") as graph:
        cosines = _cosines(fused.encode(list(texts)), graph.encode(list(texts)))
    mean, lowest = float(cosines.mean()), float(cosines.min())
    # Written so that NaN fails.
    if not (mean >= INT8_MEAN_BOUND and lowest >= INT8_COSINE_BOUND):
        worst = np.argsort(np.nan_to_num(cosines, nan=-2.0))[:WORST_SHOWN]
        shown = "\n".join(f"  {cosines[index]:.6f}  {texts[index]!r}" for index in worst)
        raise ParityError(
            f"int8 weights lose too much: mean cosine {mean:.6f} and lowest {lowest:.6f} to float32, at least "
            f"{INT8_MEAN_BOUND} and {INT8_COSINE_BOUND} were expected; no bundle was written; export without them "
            f"(int8=False). The worst of {len(texts)} texts:\n{shown}"
        )
    return {
        "texts": len(texts),
        "cosine_mean_bound": INT8_MEAN_BOUND,
        "cosine_bound": INT8_COSINE_BOUND,
        "cosine_mean": mean,
        "cosine_min": lowest,
    }


def _run(session: Any, rows: list[list[int]]) -> Vectors:
    longest = max(len(ids) for ids in rows)
    ids = np.zeros((len(rows), longest), dtype=np.int64)
    mask = np.zeros_like(ids)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row)] = 1
    (vectors,) = session.run(None, {"input_ids": ids, "attention_mask": mask})
    result: Vectors = vectors
    return result


def _cosines(a: Vectors, b: Vectors) -> NDArray[np.float64]:
    x, y = a.astype(np.float64), b.astype(np.float64)
    cosines: NDArray[np.float64] = np.einsum("ij,ij->i", x, y) / (np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1))
    return cosines
