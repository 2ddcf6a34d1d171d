"""The engines that are compared: each turns one text into one vector, on one thread."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from cachelora import Embedder
from cachelora.embedder import Backend
from cachelora_training.bases import resolve_base
from numpy.typing import NDArray

__all__ = [
    "Engine",
    "native_engine",
    "onnxruntime_engine",
    "onnxruntime_int8_graph",
    "openvino_engine",
    "sentence_transformers_engine",
    "write_unpooled",
]

Engine = Callable[[str], NDArray[np.float32]]


def native_engine(bundle: Path, backend: Backend = "auto") -> tuple[str, Engine, str | None]:
    """Return ours, the bundle through the native core, and the kernel that computes, if one of ours does."""
    embedder = Embedder(bundle, backend=backend)
    return f"cachelora ({embedder.backend})", embedder.encode, embedder.kernel


def onnxruntime_engine(graph: Path, tokenizer_file: Path, max_tokens: int) -> Engine:
    """Return ONNX Runtime's Python API on one thread, with the tokenizers package."""
    import onnxruntime
    from tokenizers import Tokenizer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.enable_truncation(max_tokens)

    def encode(text: str) -> NDArray[np.float32]:
        ids = np.array([tokenizer.encode(text).ids], dtype=np.int64)
        (vectors,) = session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        vector: NDArray[np.float32] = vectors[0]
        return vector

    return encode


def onnxruntime_int8_graph(
    graph: Path, directory: Path, *, heads: int, hidden_size: int
) -> tuple[Path, dict[str, int]]:
    """Write the best int8 graph that ONNX Runtime makes of ``graph`` by itself, and count the operators it fused.

    Its transformer optimiser first (fused attention, GELU, embeddings and norms), then its dynamic quantisation: signed
    weights with a scale per output channel.

    Returns:
        The graph's file in ``directory``, and how often each fused operator stands in it.
    """
    import logging

    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers.optimizer import optimize_model

    optimised, quantised = directory / "optimised.onnx", directory / "int8.onnx"
    # Its advice to do by hand what was just done goes to the root logger.
    before = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        model: Any = optimize_model(
            str(graph), model_type="bert", num_heads=heads, hidden_size=hidden_size, opt_level=0
        )
        model.save_model_to_file(str(optimised))
        quantize_dynamic(
            str(optimised),
            str(quantised),
            per_channel=True,
            weight_type=QuantType.QInt8,
            # Shape inference does not know the fused operators.
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
    finally:
        logging.root.setLevel(before)
    return quantised, {name: count for name, count in model.get_fused_operator_statistics().items() if count}


def write_unpooled(bundle: Path, directory: Path, max_tokens: int) -> None:
    """Write the bundle's graph up to its last layer, as hub models are: for peers that pool by themselves.

    ``model.onnx`` gives a vector for each token; beside it stand ``tokenizer.json``, and a ``config.json`` of only
    ``max_position_embeddings``.
    """
    import onnx
    import onnx.utils

    graph = onnx.load(str(bundle / "model.onnx"), load_external_data=False).graph
    # Pooling and scaling to length one follow the last layer's norm, and have none of their own.
    last = [node.output[0] for node in graph.node if node.op_type == "LayerNormalization"][-1]
    inputs = [value.name for value in graph.input]
    onnx.utils.extract_model(str(bundle / "model.onnx"), str(directory / "model.onnx"), inputs, [last])
    shutil.copyfile(bundle / "tokenizer.json", directory / "tokenizer.json")
    config = json.dumps({"max_position_embeddings": max_tokens})
    (directory / "config.json").write_text(config, encoding="utf-8")


def openvino_engine(graph: Path, tokenizer_file: Path, max_tokens: int) -> Engine:
    """Return OpenVINO's Python API on one thread in float32, for texts of any length, with the tokenizers package."""
    import openvino
    from tokenizers import Tokenizer

    # Without the hint it computes in bfloat16 where the processor can.
    settings = {
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        # This process is pinned already.
        "ENABLE_CPU_PINNING": False,
    }
    compiled = openvino.Core().compile_model(str(graph), "CPU", settings)
    request = compiled.create_infer_request()
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.enable_truncation(max_tokens)

    def encode(text: str) -> NDArray[np.float32]:
        ids = np.array([tokenizer.encode(text).ids], dtype=np.int64)
        found = request.infer({"input_ids": ids, "attention_mask": np.ones_like(ids)}, share_inputs=True)
        # The request's own memory is written anew by the next text.
        vector: NDArray[np.float32] = found[compiled.output(0)][0].copy()
        return vector

    return encode


def sentence_transformers_engine(base_model: str, max_tokens: int) -> Engine:
    """Return sentence-transformers on PyTorch with the base model; a merged adapter costs the same."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    encoder: Any = SentenceTransformer(str(resolve_base(base_model).path), device="cpu", local_files_only=True)
    encoder.max_seq_length = max_tokens
    encoder.eval()

    def encode(text: str) -> NDArray[np.float32]:
        vector: NDArray[np.float32] = encoder.encode(text, show_progress_bar=False)
        return vector

    return encode
