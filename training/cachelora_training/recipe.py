"""How an adapter is trained: checked settings, from a YAML file or from flags."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cachelora_training.bases import DEFAULT_BASE
from cachelora_training.errors import RecipeError

__all__ = ["Recipe", "read_recipe"]

SHIPPED = Path(__file__).parent / "recipes"
DEFAULT = "default"


class Recipe(BaseModel):
    """Every setting that shapes an adapter, besides the data.

    Attributes:
        base_model: See :func:`cachelora_training.bases.resolve_base`.
        rank, alpha: LoRA adds alpha / rank * B @ A to a matrix, with A of (rank, inputs) (Hu et al. 2021).
        target_modules: Names of the matrices that get an update.
        dropout: Share of an update's inputs that is dropped while training.
        base_dropout: Whether the base model's own dropout is at work in training. Without it a text has one vector, and
            what ``geometry_weight`` compares is not noise.
        epochs: How often each triplet is seen.
        learning_rate: The peak, reached after ``warmup_ratio`` of the steps; it falls linearly to 0.
        batch_size: Triplets per step, of all processes together; each anchor is compared with all of a batch's
            positives and negatives.
        balance: How far small domains catch up with the largest, from 0 (rows as they come) to 1 (every domain is seen
            equally often); see :func:`cachelora_training.mixing.balanced`.
        neighbours: Rows of a batch that are each other's nearest by the base model; 1 draws rows at random. See
            :mod:`cachelora_training.neighbours`.
        strength: How far to go from the base model towards the trained weights, written into the adapter's alpha; a dev
            set given to training chooses it instead.
        scale: The inverse temperature by which cosines are multiplied before the softmax; EXPERIMENTS.md has why 10.
        written_negatives: Whether the near miss of a row reaches the loss; otherwise only other rows' positives do.
        geometry_weight: What it costs to move the cosine of texts of different rows away from the base model's; 0
            leaves them free. See :class:`cachelora_training.losses.GeometryKeepingLoss`.
        sharpness: The power of the base model's cosines that is the target of ``geometry_weight``.
        exchange: Let anchor and positive change places in half of the triplets, so that neither marks a question.
        light_rewordings: Of the triplets whose negative repeats a question's words, the share whose positive gives way
            to a light rewording of the anchor; see :mod:`cachelora_training.rewordings`.
        rule_triplets: How many triplets by rule are added, as a share of the same triplets; see
            :mod:`cachelora_training.augmentation`.
        max_tokens: Where texts are cut; None keeps the base model's limit.
        checkpoint_steps: Steps from one checkpoint, and one measurement of the dev set, to the next; None is a tenth
            of all steps.
        patience: How many measurements of the dev set in a row may fail to improve before training stops, with the best
            weights; None trains to the end. See :class:`cachelora_training.early_stop.EarlyStop`.
        seed: Of weights, order and dropout.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_model: str = DEFAULT_BASE
    rank: Annotated[int, Field(ge=1)] = 8
    alpha: Annotated[float, Field(gt=0)] = 16.0
    target_modules: Annotated[tuple[str, ...], Field(min_length=1)] = ("query", "value")
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    base_dropout: bool = True
    epochs: Annotated[float, Field(gt=0)] = 1
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.1
    batch_size: Annotated[int, Field(ge=1)] = 32
    balance: Annotated[float, Field(ge=0, le=1)] = 0.0
    neighbours: Annotated[int, Field(ge=1)] = 1
    strength: Annotated[float, Field(gt=0, le=1)] = 1.0
    scale: Annotated[float, Field(gt=0)] = 10.0
    written_negatives: bool = True
    geometry_weight: Annotated[float, Field(ge=0)] = 0.0
    sharpness: Annotated[float, Field(ge=1)] = 1.0
    exchange: bool = False
    light_rewordings: Annotated[float, Field(ge=0, le=1)] = 0.0
    rule_triplets: Annotated[float, Field(ge=0)] = 0.0
    max_tokens: Annotated[int, Field(ge=3)] | None = None
    checkpoint_steps: Annotated[int, Field(ge=1)] | None = None
    patience: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0


def read_recipe(name: str | None, overrides: dict[str, Any]) -> Recipe:
    """Return the recipe in a YAML file, or one that is shipped, with ``overrides`` that are not None.

    Args:
        name: A path, or the name of a shipped recipe such as ``demo``; None means ``default``.
        overrides: Settings by name.

    Raises:
        RecipeError: the file is missing or no YAML mapping, a key is unknown, or a value can't be used.
    """
    shipped = SHIPPED / f"{name or DEFAULT}.yaml"
    path = shipped if name is None or shipped.is_file() else Path(name)
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in SHIPPED.glob("*.yaml")))
        raise RecipeError(f"recipe {name!r}: no such file; shipped recipes are: {known}")
    try:
        settings: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}: {error}") from error
    if not isinstance(settings, dict):
        raise RecipeError(f"{path}: settings as `name: value` were expected")
    settings |= {key: value for key, value in overrides.items() if value is not None}
    try:
        return Recipe(**settings)
    except ValidationError as error:
        problems = "\n".join(
            f"{path}: {'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}" for problem in error.errors()
        )
        raise RecipeError(problems) from error
