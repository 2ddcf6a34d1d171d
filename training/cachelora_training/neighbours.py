"""Batches in which neighbours meet: questions on one subject that ask for different things.

In a batch of random rows only the written near miss is hard to tell from the positive; every other row is about
something else. Rows whose anchors are near one another by the base model are each other's ordinary negatives, the kind
that a cache meets all day: the same subject, other words, another answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

__all__ = ["batches_of_distinct", "neighbour_order"]


def neighbour_order(vectors: Tensor, group: int, generator: torch.Generator | None = None) -> list[int]:
    """Return every row once, in groups of neighbours whose order is drawn.

    Rows are drawn; each that is not taken yet takes its nearest that are not taken yet.

    Args:
        vectors: The anchors' normalised vectors, (rows, dimension).
        group: Rows of a group, itself included; 1 is a random order. The last groups take what is left.
        generator: Where chance comes from.
    """
    count = len(vectors)
    drawn: list[int] = torch.randperm(count, generator=generator).tolist()
    if group == 1:
        return drawn
    free = torch.ones(count, dtype=torch.bool)
    groups: list[list[int]] = []
    for row in drawn:
        if not free[row]:
            continue
        free[row] = False
        cosines = (vectors @ vectors[row]).masked_fill(~free, -torch.inf)
        near: list[int] = cosines.topk(min(group - 1, int(free.sum()))).indices.tolist()
        free[near] = False
        groups.append([row, *near])
    order: list[int] = torch.randperm(len(groups), generator=generator).tolist()
    return [row for index in order for row in groups[index]]


def batches_of_distinct(order: Sequence[int], texts: Sequence[frozenset[str]], size: int) -> Iterator[list[int]]:
    """Yield batches of up to ``size`` rows in which no text occurs twice, in order as far as that allows.

    Two equal texts in one batch would be each other's false negatives.

    Args:
        order: Every row once.
        texts: The texts of each row.
        size: Rows of a batch; the last ones may have fewer.
    """
    waiting = list(order)
    while waiting:
        batch: list[int] = []
        seen: set[str] = set()
        later: list[int] = []
        for place, row in enumerate(waiting):
            if len(batch) == size:
                later += waiting[place:]
                break
            if seen.isdisjoint(texts[row]):
                batch.append(row)
                seen |= texts[row]
            else:
                later.append(row)
        yield batch
        waiting = later
