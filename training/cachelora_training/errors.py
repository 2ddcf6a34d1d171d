"""The failures of this distribution; `cachelora.errors` has those of the runtime."""

from __future__ import annotations

from cachelora.errors import CacheloraError, OutputExistsError

__all__ = [
    "AdapterError",
    "BaseModelError",
    "CheckpointError",
    "LeakError",
    "OutputExistsError",
    "RecipeError",
    "RowsError",
    "TensorBoardError",
]


class BaseModelError(CacheloraError, ValueError):
    """A base model can't be found or is not a sentence encoder."""


class AdapterError(CacheloraError, ValueError):
    """An adapter can't be found, is incomplete, or does not fit the base model."""


class CheckpointError(CacheloraError, ValueError):
    """Checkpoints belong to another run, or can't be read."""


class RecipeError(CacheloraError, ValueError):
    """A recipe has an unknown key or a value that can't be used."""


class RowsError(CacheloraError, ValueError):
    """Rows of a data file are not of the expected form; the message lists them."""


class TensorBoardError(CacheloraError, ImportError):
    """TensorBoard was asked for and is not installed."""


class LeakError(CacheloraError, ValueError):
    """A question of the test data stands in the training data."""
