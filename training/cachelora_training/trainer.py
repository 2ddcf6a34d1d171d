"""The trainer of one adapter: the library's, with exact losses, in one process or several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from sentence_transformers import SentenceTransformerTrainer
from torch import Tensor
from transformers import TrainerCallback

__all__ = ["AdapterTrainer", "EpochCount", "Progressing"]


class AdapterTrainer(SentenceTransformerTrainer):
    """The library's trainer, which also keeps the loss of every step: its log rounds to four digits."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._seen: list[Tensor] = []

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        """Return the loss of one batch, the same in every process."""
        loss: Any = super().compute_loss(*args, **kwargs)
        self._seen.append(loss.detach().float())
        return loss

    @property
    def losses(self) -> list[float]:
        """The loss of each step so far."""
        found: list[float] = torch.stack(self._seen).tolist() if self._seen else []
        return found


class EpochCount(TrainerCallback):
    """Counts epochs from 0 for the sampler of batches."""

    def __init__(self) -> None:
        self.begun = 0
        self.resumed_at = 0

    def __call__(self) -> int:
        """Return the current epoch."""
        return self.resumed_at + max(0, self.begun - 1)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start where a checkpoint ended."""
        self.begun = 0
        self.resumed_at = state.global_step // len(kwargs["train_dataloader"])

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count."""
        self.begun += 1


class Progressing(TrainerCallback):
    """Shows steps on a display.

    Args:
        update: Called with the steps done and the steps in all.
    """

    def __init__(self, update: Callable[[int, int], None]) -> None:
        self.update = update

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Show how many there are."""
        self.update(state.global_step, state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Show one more."""
        self.update(state.global_step, state.max_steps)
