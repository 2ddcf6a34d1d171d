"""A base model of another depth, for timing: the layers of one base, repeated."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

from cachelora.errors import UsageError
from cachelora_training.bases import resolve_base
from cachelora_training.directories import check_output, complete_directory

DAMPING = 0.02

__all__ = ["write_deeper_base"]


def write_deeper_base(base_name: str, output: Path, *, layers: int, max_tokens: int | None, force: bool) -> None:
    """Write ``base_name`` with ``layers`` layers, each of its own several times, as a directory that export reads.

    Weights, activations and tokens are those of a trained model, so that time, memory and rounding are realistic;
    its vectors mean nothing.

    Args:
        base_name: See :func:`cachelora_training.bases.resolve_base`; an encoder like BERT.
        output: The directory; it appears complete or not at all.
        layers: How many layers it will have.
        max_tokens: How many tokens of a text it reads; None keeps the base's number.
        force: Replace an existing directory.

    Raises:
        BaseModelError, OutputExistsError, UsageError.
    """
    from sentence_transformers import SentenceTransformer

    check_output(output, force=force)
    encoder: Any = SentenceTransformer(str(resolve_base(base_name).path), device="cpu", local_files_only=True)
    model = encoder[0].auto_model
    positions = model.config.max_position_embeddings
    if max_tokens is not None and not 3 <= max_tokens <= positions:
        raise UsageError(f"max_tokens is {max_tokens}: {base_name} has 3 to {positions} positions")
    own = model.encoder.layer
    # Copies, because a safetensors file holds no tensor under two names.
    sources = [index * len(own) // layers for index in range(layers)]
    deeper = [deepcopy(own[source]) for source in sources]
    for (before, source), layer in zip(pairwise(sources), deeper[1:], strict=True):
        if source == before:
            _quieten(layer)
    model.encoder.layer = type(own)(deeper)
    model.config.num_hidden_layers = layers
    if max_tokens is not None:
        encoder.max_seq_length = max_tokens
    with complete_directory(output) as directory:
        encoder.save(str(directory))


def _quieten(layer: Any) -> None:
    """Make a layer that follows its own original hand on what it is given, nearly.

    A stack that nobody trained would blow rounding up, and export would rightly refuse it.
    """
    import torch

    with torch.no_grad():
        weight, bias = layer.output.LayerNorm.weight, layer.output.LayerNorm.bias
        # What comes in has about this mean and deviation, which the layer's norms take away.
        deviation = (weight.square().mean() + bias.var(unbiased=False)).sqrt()
        mean = bias.mean()
        for part in (layer.attention.output, layer.output):
            part.dense.weight *= DAMPING
            part.dense.bias *= DAMPING
            part.LayerNorm.weight.fill_(deviation)
            part.LayerNorm.bias.fill_(mean)
