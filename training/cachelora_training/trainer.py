"""The trainer of one adapter: the library's, with exact losses and checkpoints that hold the adapter alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformerTrainer
from torch import Tensor
from transformers import TrainerCallback

from cachelora_training.checkpoints import Checkpoints
from cachelora_training.early_stop import DevMeasure, EarlyStop, trained_weights
from cachelora_training.processes import is_first

__all__ = ["AdapterTrainer", "EpochCount", "Progressing"]

WEIGHTS = "adapter.safetensors"
BEST = "best.safetensors"
SEEN = "seen.json"


class AdapterTrainer(SentenceTransformerTrainer):
    """The library's trainer, which also keeps the loss of every step (its log rounds to four digits).

    Args:
        checkpoints: Where checkpoints are kept; None keeps none.
        early_stop: Measured every ``every`` steps.
        every: Steps.
    """

    def __init__(
        self, *args: Any, checkpoints: Checkpoints | None, early_stop: EarlyStop | None, every: int, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.checkpoints = checkpoints
        self.early_stop = early_stop
        self._seen: list[Tensor] = []
        if early_stop is not None:
            self.add_callback(_Watching(self, early_stop, every))  # type: ignore[no-untyped-call]

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

    def restore(self, checkpoint: str) -> None:
        """Take weights, losses and measurements from a checkpoint; optimizer and random numbers are the library's."""
        directory = Path(checkpoint)
        saved = load_file(directory / WEIGHTS)
        with torch.no_grad():
            for name, weights in trained_weights(self.model).items():
                weights.copy_(saved[name])
        seen = json.loads((directory / SEEN).read_text(encoding="utf-8"))
        self._seen = list(torch.tensor(seen["losses"], dtype=torch.float32, device=self.args.device))
        if self.early_stop is not None:
            self.early_stop.history = [DevMeasure(**found) for found in seen["dev"]]
            self.early_stop.weights = load_file(directory / BEST) if (directory / BEST).is_file() else {}

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self.restore(resume_from_checkpoint)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        # The library loads to the process's device, which among several on CPUs is "cpu:0"; torch can't load to that.
        # An optimizer moves its state to the weights by itself.
        if checkpoint is not None and self.optimizer is not None and self.lr_scheduler is not None:
            self.optimizer.load_state_dict(torch.load(Path(checkpoint) / "optimizer.pt", map_location="cpu"))
            self.lr_scheduler.load_state_dict(torch.load(Path(checkpoint) / "scheduler.pt", map_location="cpu"))

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        # The library would write the whole model.
        directory = Path(output_dir or str(self.args.output_dir))
        directory.mkdir(parents=True, exist_ok=True)
        save_file(_on_cpu(trained_weights(self.model)), directory / WEIGHTS)
        history = [] if self.early_stop is None else [asdict(found) for found in self.early_stop.history]
        if self.early_stop is not None and self.early_stop.weights:
            save_file(_on_cpu(self.early_stop.weights), directory / BEST)
        (directory / SEEN).write_text(json.dumps({"losses": self.losses, "dev": history}), encoding="utf-8")

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        super()._save_checkpoint(*args, **kwargs)  # type: ignore[no-untyped-call]
        # Each process adds the state of its random numbers.
        self.accelerator.wait_for_everyone()
        if self.checkpoints is not None and is_first():
            self.checkpoints.seal(self.state.global_step)


class _Watching(TrainerCallback):
    """Measures the dev set and stops training when patience has run out."""

    def __init__(self, trainer: AdapterTrainer, early_stop: EarlyStop, every: int) -> None:
        self.trainer = trainer
        self.early_stop = early_stop
        self.every = every

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measure after every so many steps and after the last."""
        if state.global_step % self.every == 0 or state.global_step >= state.max_steps:
            self.early_stop.measure(state.global_step, self.trainer.model)
            found = self.early_stop.history[-1]
            self.trainer.log({"dev_roc_auc": found.roc_auc, "dev_margin": found.margin})
            if self.early_stop.is_over:
                control.should_training_stop = True


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


def _on_cpu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
