"""The ONNX graph: token ids in, one normalised sentence vector out."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cachelora_training.adapters import transformer_of

from cachelora_export.errors import ExportError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["INPUTS", "OPSET", "OUTPUT", "ensure_normalised", "write_graph"]

INPUTS = ("input_ids", "attention_mask")
OUTPUT = "sentence_embedding"
# The first with LayerNormalization as one operator; every ONNX Runtime that is supported reads it.
OPSET = 17


def ensure_normalised(encoder: SentenceTransformer) -> bool:
    """Append a Normalize module where the model has none; return whether that was needed.

    A cache compares cosines, and thresholds are calibrated on unit vectors.
    """
    from sentence_transformers.sentence_transformer.modules import Normalize

    if any(isinstance(module, Normalize) for module in encoder):
        return False
    encoder.append(Normalize())
    return True


def write_graph(encoder: SentenceTransformer, path: Path) -> None:
    """Export ``encoder`` with pooling and normalisation in the graph, and check the result.

    Inputs are int64 (batch, tokens), the output float32 (batch, dimension), batch and tokens dynamic.

    Raises:
        ExportError: Optimum can't export the architecture, or the graph is not what was asked for.
    """
    import onnx
    from optimum.exporters.onnx import export

    config = _onnx_config(encoder)
    with _quiet():
        try:
            export(encoder, config, path, opset=OPSET)
        except Exception as error:  # the exporter raises whatever PyTorch's tracer meets
            raise ExportError(f"Optimum can't export this model: {error}") from error
    model = onnx.load(str(path))
    dimension = int(encoder.get_embedding_dimension() or 0)
    (output,) = model.graph.output
    # The tracer does not know the vector's length; readers should.
    output.type.tensor_type.shape.dim[1].dim_value = dimension
    # Versions and paths of the exporting machine are not part of the model.
    model.producer_version = ""
    for node in model.graph.node:
        node.ClearField("doc_string")
    onnx.save_model(model, str(path))
    onnx.checker.check_model(str(path), full_check=True)
    inputs = tuple(value.name for value in model.graph.input)
    if inputs != INPUTS or output.name != OUTPUT:
        raise ExportError(f"the graph maps {inputs} to {output.name}, {INPUTS} to {OUTPUT} were expected")


def _onnx_config(encoder: SentenceTransformer) -> Any:
    from optimum.exporters.onnx.model_configs import SentenceTransformersTransformerOnnxConfig
    from optimum.exporters.onnx.model_patcher import SentenceTransformersTransformerPatcher

    class SentenceVectorPatcher(SentenceTransformersTransformerPatcher):  # type: ignore[misc]
        """Keeps the sentence vector and drops the token vectors, which no reader of a bundle wants."""

        def __init__(self, config: Any, model: Any, model_kwargs: Any = None) -> None:
            super().__init__(config, model, model_kwargs)

            def forward(input_ids: Any, attention_mask: Any) -> dict[str, Any]:
                result = self.orig_forward({"input_ids": input_ids, "attention_mask": attention_mask})
                return {OUTPUT: result[OUTPUT]}

            self.patched_forward = forward

    class SentenceVectorConfig(SentenceTransformersTransformerOnnxConfig):  # type: ignore[misc]
        _MODEL_PATCHER = SentenceVectorPatcher

        @property
        def outputs(self) -> dict[str, dict[int, str]]:
            return {OUTPUT: {0: "batch_size"}}

    return SentenceVectorConfig(transformer_of(encoder).config, task="feature-extraction")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the tracer says of every model: branches that the exported inputs never take."""
    from torch.jit._trace import TracerWarning

    logger = logging.getLogger("optimum")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TracerWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", message=".*legacy.*exporter.*")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
