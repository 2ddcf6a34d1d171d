"""The int8 weight file of the fused encoder."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cachelora_export.errors import ExportError

if TYPE_CHECKING:
    from torch.nn import Module

__all__ = ["quantize_encoder"]

CONFIG_KEY = "cachelora_encoder"
LAYOUT = 1
# The kernels read 16 outputs by 4 inputs at a time, and one line of 64 bytes best from its own multiple of 64.
BLOCK_OUTPUTS = 16
BLOCK_INPUTS = 4
ALIGNMENT = 64
LARGEST = 127
# How much of a column's activation range moves into its weights. Measured on all-MiniLM-L6-v2 with 210 questions:
# mean cosine 0.9977 at 0 (none moves), 0.9981 at 0.3, 0.9991 at 0.6, 0.9987 at 0.8. Only the inputs of qkv and widen
# have outliers (largest column 3 to 16 times the median); the other two gain nothing and stay plain.
SMOOTHING = 0.6

Floats = NDArray[np.float32]
Tensors = dict[str, NDArray[Any]]


def quantize_encoder(
    model: Path | str | Module,
    path: Path,
    *,
    pooling: str = "mean",
    calibration: Sequence[Sequence[int]] | None = None,
) -> None:
    """Write the weights of a BERT encoder as int8 with one float32 scale per output channel.

    The layout stands at the top of native/core/src/encoder/fused/weights.rs.

    Args:
        model: A transformers ``BertModel`` in float32 with every adapter merged, or its directory.
        path: The file to write.
        pooling: ``mean`` or ``cls``: how token vectors become the sentence vector.
        calibration: Token ids of texts, special tokens included, on which the range of each activation column is
            measured; columns with a large range are scaled down and their weights up. None scales nothing.

    Raises:
        ExportError: the fused encoder does not compute this architecture; the message says which part.
    """
    module = _module(model)
    config = encoder_config(module, pooling)
    state = {name: _floats(name, value) for name, value in module.state_dict().items() if value.is_floating_point()}
    ranges = activation_ranges(module, calibration) if calibration else {}
    tensors: Tensors = dict(_tensors(state, config, ranges))
    _write(tensors, {CONFIG_KEY: json.dumps(config, sort_keys=True)}, path)


def encoder_config(model: Any, pooling: str) -> dict[str, Any]:
    """Return what the file's metadata says of the model, or say why the fused encoder can't run it.

    Raises:
        ExportError: see :func:`quantize_encoder`.
    """
    config = model.config
    position = getattr(config, "position_embedding_type", None) or "absolute"
    hidden, heads = int(config.hidden_size), int(config.num_attention_heads)
    wide = int(getattr(config, "intermediate_size", 0))
    problems = [
        problem
        for wrong, problem in (
            (config.model_type != "bert", f"model_type is {config.model_type}, not bert"),
            (getattr(config, "hidden_act", None) != "gelu", "hidden_act is not gelu"),
            (position != "absolute", f"position_embedding_type is {position}, not absolute"),
            (bool(getattr(config, "is_decoder", False)), "it is a decoder"),
            (hidden % 16 or wide % 16, "hidden_size or intermediate_size is no multiple of 16"),
            (hidden % (8 * heads), f"the head size {hidden} / {heads} is no multiple of 8"),
            (pooling not in {"mean", "cls"}, f"pooling is {pooling}, not mean or cls"),
        )
        if wrong
    ]
    if problems:
        raise ExportError(f"the fused encoder does not run this model: {'; '.join(problems)}")
    return {
        "layout": LAYOUT,
        "model_type": config.model_type,
        "activation": config.hidden_act,
        "layers": int(config.num_hidden_layers),
        "hidden_size": hidden,
        "heads": heads,
        "intermediate_size": wide,
        "vocabulary": int(config.vocab_size),
        "positions": int(config.max_position_embeddings),
        "epsilon": float(config.layer_norm_eps),
        "pooling": pooling,
    }


def activation_ranges(model: Any, calibration: Sequence[Sequence[int]]) -> dict[str, Floats]:
    """Return the largest absolute activation of each input column of qkv and widen, by layer and matrix."""
    import torch

    ranges: dict[str, Floats] = {}

    def watch(name: str) -> Any:
        def hook(_: Any, arguments: tuple[Any, ...]) -> None:
            found = arguments[0].detach().abs().flatten(0, -2).amax(0).float().cpu().numpy()
            ranges[name] = np.maximum(ranges[name], found) if name in ranges else found

        return hook

    hooks = []
    for index, layer in enumerate(model.encoder.layer):
        hooks.append(layer.attention.self.query.register_forward_pre_hook(watch(f"layers.{index}.qkv")))
        hooks.append(layer.intermediate.dense.register_forward_pre_hook(watch(f"layers.{index}.widen")))
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for ids in calibration:
                model(input_ids=torch.tensor([list(ids)], device=model.device))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return ranges


def smoothing_factors(weights: Floats, ranges: Floats) -> Floats:
    """Return what the inputs (one per column of ``weights``) are multiplied by, and the columns divided.

    SmoothQuant's balance: range ** 0.6 / largest weight ** 0.4, with the typical factor kept at 1.
    """
    inputs = np.maximum(ranges, ranges.max() * 1e-3 + np.finfo(np.float32).tiny)
    outputs = np.abs(weights).max(axis=0)
    outputs = np.maximum(outputs, outputs.max() * 1e-3 + np.finfo(np.float32).tiny)
    balance = inputs**SMOOTHING / outputs ** (1 - SMOOTHING)
    factors: Floats = (np.exp(np.log(balance).mean()) / balance).astype(np.float32)
    return factors


def quantize_rows(matrix: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Return ``matrix`` (outputs, inputs) as int8 in -127..127 and one scale per row; a row of zeros has scale 0."""
    scales = (np.abs(matrix).max(axis=1) / LARGEST).astype(np.float32)
    divisors = np.where(scales > 0, scales, 1).astype(np.float32)
    return np.clip(np.rint(matrix / divisors[:, None]), -LARGEST, LARGEST).astype(np.int8), scales


def pack(matrix: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return (outputs, inputs) as (outputs / 16, inputs / 4, 16, 4): 64 neighbouring bytes are 16 by 4 of them."""
    outputs, inputs = matrix.shape
    blocks = matrix.reshape(outputs // BLOCK_OUTPUTS, BLOCK_OUTPUTS, inputs // BLOCK_INPUTS, BLOCK_INPUTS)
    return np.ascontiguousarray(blocks.transpose(0, 2, 1, 3))


def _module(model: Path | str | Module) -> Module:
    if not isinstance(model, str | Path):
        return model
    from transformers import AutoModel

    module: Module = AutoModel.from_pretrained(str(model), local_files_only=True)
    return module


def _floats(name: str, value: Any) -> Floats:
    values: Floats = value.detach().float().cpu().numpy()
    if not np.isfinite(values).all():
        raise ExportError(f"weight {name} is not finite")
    return values


def _tensors(
    state: Mapping[str, Floats], config: Mapping[str, Any], ranges: Mapping[str, Floats]
) -> Iterator[tuple[str, NDArray[Any]]]:
    words, word_scales = quantize_rows(state["embeddings.word_embeddings.weight"])
    yield "embeddings.words", words
    yield "embeddings.words.scale", word_scales
    # Only token type 0 occurs, so its embedding is part of every position's.
    types = state["embeddings.token_type_embeddings.weight"]
    yield "embeddings.positions", state["embeddings.position_embeddings.weight"] + types[0]
    yield from _norm(state, "embeddings.LayerNorm", "embeddings.norm")
    head_size = config["hidden_size"] // config["heads"]
    for index in range(config["layers"]):
        old, new = f"encoder.layer.{index}", f"layers.{index}"

        def linear(name: str, old: str = old) -> tuple[Floats, Floats]:
            return state[f"{old}.{name}.weight"], state[f"{old}.{name}.bias"]

        query, key, value = (linear(f"attention.self.{name}") for name in ("query", "key", "value"))
        # Dividing the queries divides the scores.
        root = np.float32(head_size**0.5)
        weights = np.concatenate([query[0] / root, key[0], value[0]])
        biases = np.concatenate([query[1] / root, key[1], value[1]])
        yield from _matrix(f"{new}.qkv", weights, biases, ranges)
        yield from _matrix(f"{new}.output", *linear("attention.output.dense"), ranges)
        yield from _matrix(f"{new}.widen", *linear("intermediate.dense"), ranges)
        yield from _matrix(f"{new}.narrow", *linear("output.dense"), ranges)
        yield from _norm(state, f"{old}.attention.output.LayerNorm", f"{new}.attention_norm")
        yield from _norm(state, f"{old}.output.LayerNorm", f"{new}.norm")


def _norm(state: Mapping[str, Floats], old: str, new: str) -> Iterator[tuple[str, Floats]]:
    for name in ("weight", "bias"):
        yield f"{new}.{name}", state[f"{old}.{name}"]


def _matrix(
    name: str, weights: Floats, biases: Floats, ranges: Mapping[str, Floats]
) -> Iterator[tuple[str, NDArray[Any]]]:
    if name in ranges:
        factors = smoothing_factors(weights, ranges[name])
        weights = weights / factors
        yield f"{name}.smooth", factors
    integers, scales = quantize_rows(weights)
    yield f"{name}.weight", pack(integers)
    yield f"{name}.scale", scales
    yield f"{name}.bias", biases


def _write(tensors: Tensors, metadata: dict[str, str], path: Path) -> None:
    """Write a safetensors file whose packed weights begin at multiples of 64 bytes.

    The safetensors package orders tensors by its own rule, so the header is made here.
    """
    # Packed weights are multiples of 64 bytes long: first come, first aligned.
    order = sorted(tensors, key=lambda name: (tensors[name].ndim != 4, tensors[name].dtype != np.float32, name))
    header: dict[str, Any] = {"__metadata__": metadata}
    offset = 0
    for name in order:
        values = tensors[name]
        end = offset + values.nbytes
        kind = {"int8": "I8", "float32": "F32"}[values.dtype.name]
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % ALIGNMENT)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for name in order:
            values = tensors[name]
            file.write(np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes())
