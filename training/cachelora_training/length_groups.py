"""Embedding a batch's texts in groups of similar length: less padding, the same vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

__all__ = ["embedded_by_length"]


def embedded_by_length(
    model: Callable[[dict[str, Any]], dict[str, Tensor]], columns: Sequence[dict[str, Any]], group: int
) -> list[Tensor]:
    """Return the embeddings of each column, (rows, dimension).

    A column is padded to its longest text, and with questions of five and fifty tokens side by side half of a step is
    spent on padding. So the texts of all columns are sorted by length and embedded ``group`` at a time.

    Args:
        model: From tokens to ``sentence_embedding``.
        columns: Tokens of each column: ``input_ids`` and ``attention_mask``, (rows, tokens), and whatever else has that
            shape, such as ``token_type_ids``. Anything of another kind is the same for all.
        group: Texts of a group.
    """
    longest = max(column["attention_mask"].shape[1] for column in columns)
    names = [name for name, value in columns[0].items() if _has_shape(value, columns[0]["attention_mask"])]
    common = {name: value for name, value in columns[0].items() if name not in names}
    joined = {name: torch.cat([_widened(column[name], longest) for column in columns]) for name in names}
    lengths = joined["attention_mask"].sum(dim=1)
    order = torch.argsort(lengths, stable=True)
    parts = []
    for start in range(0, len(order), group):
        rows = order[start : start + group]
        # Whichever side a tokenizer pads on, a place that no text of the group uses is left out.
        used = joined["attention_mask"][rows].any(dim=0)
        tokens = {name: values[rows][:, used] for name, values in joined.items()}
        parts.append(model(common | tokens)["sentence_embedding"])
    embeddings = torch.cat(parts)[torch.argsort(order)]
    counts = [len(column["attention_mask"]) for column in columns]
    ends = list(accumulate(counts))
    return [embeddings[end - count : end] for count, end in zip(counts, ends, strict=True)]


def _has_shape(value: Any, mask: Tensor) -> bool:
    return isinstance(value, Tensor) and value.shape == mask.shape


def _widened(values: Tensor, width: int) -> Tensor:
    """Fill rows up with zeros, which the mask hides."""
    return torch.nn.functional.pad(values, (0, width - values.shape[1]))
