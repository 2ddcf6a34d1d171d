"""One model from base and adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachelora_training.adapters import Adapter, load_encoder, transformer_of
from cachelora_training.bases import Base

from cachelora_export.errors import ExportError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["merged_encoder"]


def merged_encoder(base: Base, adapter: Adapter | None) -> SentenceTransformer:
    """Return the base model in float32 with the adapter's update added to its weights.

    PEFT does the arithmetic: W + alpha / rank * B @ A for every updated matrix.

    Raises:
        ExportError: something of the adapter is left over, or it changes no weight.
    """
    from peft import PeftModel
    from sentence_transformers import SentenceTransformer

    # Eager attention becomes plain matrix products, which ONNX Runtime reads best.
    encoder: SentenceTransformer = SentenceTransformer(
        str(base.path),
        device="cpu",
        local_files_only=True,
        model_kwargs={"attn_implementation": "eager"},
    )
    if adapter is not None:
        # Fit is checked where the adapter is applied unmerged.
        load_encoder(base, adapter)
        before = {name: weights.clone() for name, weights in transformer_of(encoder).state_dict().items()}
        merged = PeftModel.from_pretrained(transformer_of(encoder), str(adapter.path)).merge_and_unload(safe_merge=True)
        after = merged.state_dict()
        if after.keys() != before.keys():
            left = sorted(after.keys() ^ before.keys())
            raise ExportError(
                f"adapter {adapter.name!r} could not be merged completely; left over: {', '.join(left[:5])}"
            )
        if all(bool((after[name] == weights).all()) for name, weights in before.items()):
            raise ExportError(f"adapter {adapter.name!r} changes no weight of the model; was it trained?")
        encoder[0].auto_model = merged
    encoder.float().eval()
    return encoder
