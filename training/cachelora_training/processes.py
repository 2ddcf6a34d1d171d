"""Training in several processes as if it were one: batches are shared out, their vectors gathered.

`torchrun` and `accelerate launch` start the processes and tell each its rank in the environment. A batch of the recipe
is the batch of all processes together. Each encodes its share of the rows, the vectors are gathered, and each computes
the whole loss; so a loss is written once, for one process, and in-batch negatives come from all of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = [
    "batches_for_all",
    "from_first",
    "gathered",
    "gathering",
    "is_first",
    "is_first_here",
    "leave",
    "only_first_speaks",
    "process_count",
    "sampler_of_shares",
    "shares",
]


def is_first() -> bool:
    """Whether this process is the one that writes results."""
    return int(os.environ.get("RANK", "0")) == 0


def is_first_here() -> bool:
    """Whether this process is the one of its machine that reports errors."""
    return int(os.environ.get("LOCAL_RANK", "0")) == 0


def process_count() -> int:
    """Return how many processes train together, on all machines."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def only_first_speaks() -> None:
    """Keep every process but the first from printing."""
    from cachelora.terminal import stderr, stdout

    if not is_first():
        stdout.quiet = stderr.quiet = True


def leave() -> None:
    """Close the connections to the other processes, if there are any."""
    import torch

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def shares(batch: list[int], count: int) -> list[list[int]]:
    """Split a batch into ``count`` consecutive parts whose sizes differ by 1 at most; the longer ones come first."""
    size, longer = divmod(len(batch), count)
    ends = [part * size + min(part, longer) for part in range(count + 1)]
    return [batch[start:end] for start, end in pairwise(ends)]


def from_first(values: list[float], device: Any) -> list[float]:
    """Return the first process's values in every process, so that all of them decide alike."""
    import torch

    if process_count() == 1:
        return values
    tensor = torch.tensor(values, dtype=torch.float64, device=device)
    torch.distributed.broadcast(tensor, src=0)
    found: list[float] = tensor.tolist()
    return found


def gathered(rows: Tensor) -> Tensor:
    """Return the rows of all processes in the order of the batch: (rows of all, dimension).

    Every process must compute the same loss from the result. Gradients flow back to this process's rows only. They are
    multiplied by the number of processes, because distributed training takes the mean over processes where the sum is
    meant: each adds the part of the gradient that comes through its own rows.
    """
    import torch

    if process_count() == 1 or not torch.distributed.is_initialized():
        return rows
    count = torch.tensor([len(rows)], device=rows.device)
    counts = [torch.empty_like(count) for _ in range(process_count())]
    torch.distributed.all_gather(counts, count)
    sizes = [int(size) for size in counts]
    # Collectives want equal shapes; shares differ by a row where the batch is no multiple of the processes.
    padded = rows.detach().new_zeros(max(sizes), *rows.shape[1:])
    padded[: len(rows)] = rows.detach()
    parts = [torch.empty_like(padded) for _ in sizes]
    torch.distributed.all_gather(parts, padded)
    whole = [part[:size] for part, size in zip(parts, sizes, strict=True)]
    own = rows
    if rows.requires_grad:
        own = rows.view_as(rows)
        own.register_hook(lambda gradient: gradient * len(sizes))  # type: ignore[no-untyped-call]
    whole[int(os.environ["RANK"])] = own
    return torch.cat(whole)


@contextmanager
def gathering(encoder: nn.Module) -> Iterator[None]:
    """Let the encoder return the vectors of all processes while it trains; measuring is left alone.

    Args:
        encoder: A sentence encoder; ``sentence_embedding`` of its output is (rows, dimension).
    """
    import torch

    def gather(module: nn.Module, inputs: Any, output: dict[str, Tensor]) -> dict[str, Tensor] | None:
        if not module.training or not torch.is_grad_enabled():
            return None
        return {**output, "sentence_embedding": gathered(output["sentence_embedding"])}

    handle = encoder.register_forward_hook(gather) if process_count() > 1 else None
    try:
        yield
    finally:
        if handle is not None:
            handle.remove()


def sampler_of_shares(epoch: Callable[[], int]) -> Callable[..., Any]:
    """Return what makes the sampler of batches; with several processes, of their shares in turn.

    Accelerate deals a sampler's batches out to the processes in turn. So the shares of one batch, one after the other,
    reach the processes at the same step. The library tells only some samplers the epoch, so it is asked for here.

    Args:
        epoch: Returns the number of the current epoch, from 0.
    """
    from sentence_transformers.base.sampler import ProportionalBatchSampler

    class Shares(ProportionalBatchSampler):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            if process_count() > 1:
                # Shares have no fixed size; with a size, Accelerate would drop those that are smaller.
                self.batch_size: Any = None

        def __iter__(self) -> Iterator[list[int]]:
            self.set_epoch(epoch())
            # The library leaves these at 0 in the samplers of several datasets: each epoch, with any seed, would have
            # the same rows in a batch.
            inner: list[Any] = list(self.batch_samplers)
            for sampler in inner:
                sampler.seed = self.seed
                sampler.set_epoch(self.epoch)
            for batch in super().__iter__():
                yield from shares(batch, process_count())

        def __len__(self) -> int:
            return int(super().__len__()) * process_count()

    return Shares


def batches_for_all(vectors_of: Callable[[list[str]], Tensor], group: int) -> Callable[..., Any]:
    """Return what makes a sampler of batches without equal texts, in which ``group`` rows each are neighbours.

    None of the batches has fewer rows than there are processes: a smaller last one is filled up with rows of the first,
    because a process without a row would leave the others waiting.

    Args:
        vectors_of: Returns the base model's normalised vectors of texts; asked only where ``group`` is above 1.
        group: See :func:`cachelora_training.neighbours.neighbour_order`.
    """
    import torch
    from sentence_transformers.base.sampler import DefaultBatchSampler

    from cachelora_training.neighbours import batches_of_distinct, neighbour_order

    class Neighbours(DefaultBatchSampler):
        def __init__(self, dataset: Any, **settings: Any) -> None:
            # With several processes the library asks to drop smaller batches; one process would train on them.
            super().__init__(dataset, **settings | {"drop_last": False})
            columns = [dataset[name] for name in ("anchor", "positive", "negative") if name in dataset.column_names]
            self.texts = [frozenset(texts) for texts in zip(*columns, strict=True)]
            self.vectors = vectors_of(list(dataset["anchor"])) if group > 1 else torch.empty(len(self.texts), 0)

        def __iter__(self) -> Iterator[list[int]]:
            if self.generator is not None:
                self.generator.manual_seed(self.seed + self.epoch)
            order = neighbour_order(self.vectors, group, self.generator)
            first: list[int] = []
            for batch in batches_of_distinct(order, self.texts, self.batch_size):
                first = first or list(batch)
                while len(batch) < process_count():
                    batch += first[: process_count() - len(batch)]
                yield batch

        def __len__(self) -> int:
            return -(-len(self.texts) // int(self.batch_size))

    return Neighbours
