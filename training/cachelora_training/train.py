"""Training one LoRA adapter with the SentenceTransformerTrainer."""

from __future__ import annotations

import importlib.util
import json
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cachelora.terminal import note, progress

from cachelora_training.adapters import transformer_of
from cachelora_training.augmentation import augmented
from cachelora_training.bases import Base, resolve_base
from cachelora_training.card import model_card
from cachelora_training.checkpoints import Checkpoints, is_finished
from cachelora_training.directories import check_output, complete_directory
from cachelora_training.early_stop import EarlyStop
from cachelora_training.encoding import encode_function
from cachelora_training.errors import AdapterError, LeakError, RecipeError, TensorBoardError
from cachelora_training.examples import Examples, read_examples
from cachelora_training.losses import BaseVectors, GeometryKeepingLoss
from cachelora_training.measures import measure_by, triplet_similarities
from cachelora_training.mixing import balanced
from cachelora_training.processes import (
    batches_for_all,
    gathering,
    is_first,
    only_first_speaks,
    process_count,
    sampler_of_shares,
)
from cachelora_training.provenance import describe_data
from cachelora_training.questions import leaks
from cachelora_training.recipe import Recipe
from cachelora_training.rows import Triplet, read_triplets
from cachelora_training.strength import choose_strength, set_alpha

if TYPE_CHECKING:
    from datasets import DatasetDict
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from torch import nn

__all__ = [
    "PROVENANCE",
    "new_adapter",
    "ranking_loss",
    "save_adapter",
    "train_adapter",
    "train_encoder",
]

PROVENANCE = "cachelora_training.json"


def train_adapter(
    recipe: Recipe,
    train_data: Sequence[str],
    output: Path,
    *,
    dev_data: Sequence[str] = (),
    eval_data: Sequence[str] = (),
    checkpoints: Path | None = None,
    tensorboard: Path | None = None,
    allow_leaks: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Train an adapter and write a standard PEFT directory to ``output``; return what happened.

    Besides adapter_model.safetensors (float32) and adapter_config.json the directory holds a model card and
    cachelora_training.json: recipe, seed, versions, hashes of base and data, and the measures of base and
    adapter on ``eval_data``. With ``dev_data`` the adapter's strength is chosen there and written into its alpha.
    With the recipe's patience training stops when ``dev_data`` no longer improves, and keeps the best weights.

    A run that was killed continues from ``checkpoints``, by default the output's name with ``.checkpoints``; they are
    removed when the output is written. ``tensorboard`` is a directory for TensorBoard's curves.
    Of several processes only the first writes, and knows all the facts.

    Raises:
        RowsError, LeakError, RecipeError, BaseModelError, AdapterError, CheckpointError, TensorBoardError, HubError,
            OutputExistsError: all of them before training starts.
    """
    only_first_speaks()
    check_output(output, force=force)
    if tensorboard is not None:
        check_tensorboard()
    if recipe.patience is not None and not dev_data:
        raise RecipeError("patience: needs a dev set to measure; give --dev-data")
    examples = read_examples(train_data)
    test_rows = read_triplets(eval_data) if eval_data else []
    dev_rows = read_triplets(dev_data) if dev_data else []
    found = leaks(examples.rows, [*test_rows, *dev_rows])
    if found and not allow_leaks:
        raise LeakError("\n".join([f"{len(found)} questions are in both training and test data:", *found]))
    base = resolve_base(recipe.base_model)

    started = time.monotonic()
    encoder = new_adapter(base, recipe)
    facts: dict[str, Any] = {
        "recipe": recipe.model_dump(mode="json") | {"base_model": base.name},
        "base_model": {"name": base.name, "revision": base.revision, "sha256": base.weights_sha256},
        "data": {
            "train": describe_data(train_data, examples.rows),
            "dev": describe_data(dev_data, dev_rows),
            "eval": describe_data(eval_data, test_rows),
        },
        "triplets": len(examples.triplets),
        "pairs": len(examples.pairs),
        "unused_pairs": examples.unused,
        "leaks": found,
        "processes": process_count(),
        "versions": {
            name: version(name)
            for name in (
                "cachelora-training",
                "torch",
                "transformers",
                "peft",
                "sentence-transformers",
            )
        },
    }
    # The other processes help to train; there is nothing else for them to do.
    early_stop = None if recipe.patience is None else EarlyStop(dev_rows, recipe.patience)
    kept = Checkpoints(
        checkpoints or output.with_name(f"{output.name}.checkpoints"),
        {
            "recipe": facts["recipe"],
            "base_model": facts["base_model"],
            "train_data": [found["sha256"] for found in facts["data"]["train"]],
            "dev_data": [] if early_stop is None else [found["sha256"] for found in facts["data"]["dev"]],
        },
    )
    checkpoint = kept.open()
    if test_rows and is_first():
        note(f"measuring the base model on {len(test_rows)} test triplets")
        # An update whose B is zero changes nothing, so before training this is the base model.
        facts["before"] = _measures(encoder, test_rows)
    note(
        f"training on {len(examples.triplets)} triplets"
        + (f" and {len(examples.pairs)} pairs" if examples.pairs else "")
        + f": {base.name}, rank {recipe.rank}, alpha {recipe.alpha:g}"
        + (f", continued from {checkpoint}" if checkpoint else "")
    )
    facts["loss"] = train_encoder(
        encoder,
        augmented(balanced(examples, recipe.balance, recipe.seed), recipe),
        recipe,
        checkpoints=kept,
        early_stop=early_stop,
        tensorboard=tensorboard,
    )
    if early_stop is not None:
        facts["early_stop"] = early_stop.facts()
    if not is_first():
        return facts
    if dev_rows:
        note(f"choosing the strength on {len(dev_rows)} dev triplets")
        strength, tried = choose_strength(encoder, dev_rows)
        set_alpha(encoder, strength)
        facts["strength"] = {"chosen": strength, "mean_auc": {f"{one.value:g}": one.mean_auc for one in tried}}
    elif recipe.strength != 1:
        set_alpha(encoder, recipe.strength)
        facts["strength"] = {"chosen": recipe.strength, "mean_auc": {}}
    if test_rows:
        facts["after"] = _measures(encoder, test_rows)
    facts["seconds"] = round(time.monotonic() - started, 1)

    with complete_directory(output) as directory:
        save_adapter(encoder, base, directory)
        (directory / "README.md").write_text(model_card(base, recipe, facts, output.name), encoding="utf-8")
        (directory / PROVENANCE).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    kept.remove()
    return facts


def new_adapter(base: Base, recipe: Recipe) -> SentenceTransformer:
    """Return the base model with a fresh adapter; only the adapter's weights are trainable.

    Raises:
        AdapterError: a target module matches nothing in the model.
    """
    from peft import LoraConfig, TaskType
    from sentence_transformers import SentenceTransformer
    from transformers import set_seed

    set_seed(recipe.seed)
    encoder: SentenceTransformer = SentenceTransformer(str(base.path), device="cpu", local_files_only=True)
    if not recipe.base_dropout:
        # Layers read their rates when they are made.
        settings = transformer_of(encoder).config.to_dict().items()
        rates = {name: 0.0 for name, value in settings if _is_dropout(name, value)}
        encoder = SentenceTransformer(str(base.path), device="cpu", local_files_only=True, config_kwargs=rates)
    if recipe.max_tokens is not None:
        encoder.max_seq_length = recipe.max_tokens
    names = {name.rpartition(".")[2] for name, _ in transformer_of(encoder).named_modules()}
    unknown = [target for target in recipe.target_modules if target not in names]
    if unknown:
        raise AdapterError(f"target modules {', '.join(unknown)}: {base.name} has no layer of that name")
    encoder.add_adapter(
        LoraConfig(
            task_type=TaskType.FEATURE_EXTRACTION,
            r=recipe.rank,
            # PEFT computes with any number; its annotation asks for a whole one.
            lora_alpha=int(recipe.alpha) if recipe.alpha.is_integer() else cast(int, recipe.alpha),
            lora_dropout=recipe.dropout,
            target_modules=list(recipe.target_modules),
        )
    )
    return encoder


def _is_dropout(setting: str, value: Any) -> bool:
    """Whether a model's setting is a rate of dropout, whatever its family calls it."""
    return "dropout" in setting and isinstance(value, float)


def ranking_loss(encoder: SentenceTransformer, recipe: Recipe) -> MultipleNegativesRankingLoss:
    """Return the loss: pick the positive among the batch's positives and written negatives.

    Multiple negatives ranking (Henderson et al. 2017) with explicit hard negatives: for n triplets each anchor
    is classified among n positives and n negatives by scaled cosines. The near miss that was written for an
    anchor is among them, which is what teaches the encoder to tell the two apart.
    """
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    return MultipleNegativesRankingLoss(encoder, scale=recipe.scale)


def base_vectors(encoder: SentenceTransformer, examples: Examples, recipe: Recipe) -> BaseVectors | None:
    """Return the base model's vectors of all training texts, where the recipe needs them."""
    needed = recipe.geometry_weight > 0 or recipe.neighbours > 1
    return BaseVectors(encoder, examples.texts) if needed else None


def training_loss(encoder: SentenceTransformer, base: BaseVectors | None, recipe: Recipe) -> nn.Module:
    """Return the ranking loss, with the price on moving unrelated questions where the recipe has one."""
    ranking = ranking_loss(encoder, recipe)
    if base is None or recipe.geometry_weight == 0:
        return ranking
    return GeometryKeepingLoss(encoder, ranking, base, weight=recipe.geometry_weight, sharpness=recipe.sharpness)


def datasets_of(examples: Examples, recipe: Recipe) -> DatasetDict:
    """Return triplets and pairs with exactly the columns that the loss reads, in its order.

    A batch holds rows of one of them; both are seen in proportion to their size.
    """
    from datasets import Dataset, DatasetDict

    found = {}
    for name, rows, fields in (
        ("triplets", examples.triplets, ("anchor", "positive", "negative")[: 2 + recipe.written_negatives]),
        ("pairs", examples.pairs, ("anchor", "positive")),
    ):
        if rows:
            columns = {field: [getattr(row, field) for row in rows] for field in fields}
            found[name] = Dataset.from_dict(columns)
    return DatasetDict(found)


def train_encoder(
    encoder: SentenceTransformer,
    examples: Examples,
    recipe: Recipe,
    *,
    checkpoints: Checkpoints | None = None,
    early_stop: EarlyStop | None = None,
    tensorboard: Path | None = None,
) -> list[float]:
    """Train the encoder's adapter in place; return the mean loss of each tenth of the steps.

    Training continues from the last of ``checkpoints``, if there is one. With ``early_stop`` the best weights are kept.
    """
    import torch
    from sentence_transformers import SentenceTransformerTrainingArguments
    from transformers import PrinterCallback, ProgressCallback

    from cachelora_training.trainer import AdapterTrainer, EpochCount, Progressing

    cuda = torch.cuda.is_available()
    epoch = EpochCount()
    base = base_vectors(encoder, examples, recipe)
    with tempfile.TemporaryDirectory(prefix="cachelora-train-") as scratch, progress() as display:
        task = display.add_task("train", total=None)
        steps = max(1, round(len(examples) / recipe.batch_size * recipe.epochs))
        logging_steps = max(1, steps // 10)
        every = recipe.checkpoint_steps or logging_steps
        arguments = SentenceTransformerTrainingArguments(
            output_dir=scratch if checkpoints is None else str(checkpoints.directory),
            num_train_epochs=recipe.epochs,
            # The batch of all processes; `sampler_of_shares` gives each its part.
            per_device_train_batch_size=recipe.batch_size,
            learning_rate=recipe.learning_rate,
            warmup_ratio=recipe.warmup_ratio,
            batch_sampler=batches_for_all(lambda texts: cast("BaseVectors", base).of_texts(texts), recipe.neighbours),
            multi_dataset_batch_sampler=sampler_of_shares(epoch),
            seed=recipe.seed,
            bf16=cuda and torch.cuda.is_bf16_supported(),
            use_cpu=not cuda,
            dataloader_pin_memory=cuda,
            ddp_backend=None if process_count() == 1 else "nccl" if cuda else "gloo",
            ddp_find_unused_parameters=False,
            save_strategy="no" if checkpoints is None else "steps",
            save_steps=every,
            # A kill while the last is being written leaves the one before.
            save_total_limit=2,
            logging_steps=logging_steps,
            disable_tqdm=True,
            report_to=[] if tensorboard is None else ["tensorboard"],
            logging_dir=None if tensorboard is None else str(tensorboard),
        )
        # One process drives one device; several devices take several processes.
        arguments._n_gpu = min(1, arguments.n_gpu)
        # Our card is written by `card`; the library's would first search the data for examples to show.
        encoder.model_card_data.widget = [{"text": examples.texts[0]}]
        trainer: Any = AdapterTrainer(
            model=encoder,
            args=arguments,
            train_dataset=datasets_of(examples, recipe),
            loss=training_loss(encoder, base, recipe),
            checkpoints=checkpoints,
            early_stop=early_stop,
            every=every,
            callbacks=[
                epoch,
                Progressing(lambda done, total: display.update(task, completed=done, total=total)),
            ],
        )
        for printing in (PrinterCallback, ProgressCallback):
            trainer.remove_callback(printing)
        checkpoint = None if checkpoints is None else checkpoints.open()
        if checkpoint is not None:
            trainer.restore(str(checkpoint))
        # What was killed after its last step is not trained again.
        if checkpoint is None or not (is_finished(checkpoint) or (early_stop is not None and early_stop.is_over)):
            with gathering(encoder):
                _quiet(lambda: trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None))
        if early_stop is not None:
            early_stop.restore(encoder)
    encoder.eval()
    return means(trainer.losses, logging_steps)


def check_tensorboard() -> None:
    """Raise TensorBoardError if TensorBoard is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        raise TensorBoardError("--tensorboard: TensorBoard is not installed: pip install tensorboard")


def means(losses: Sequence[float], count: int) -> list[float]:
    """Return the mean of each ``count`` losses; a rest that is smaller is left out."""
    return [
        round(statistics.fmean(losses[start : start + count]), 8) for start in range(0, len(losses) - count + 1, count)
    ]


def _quiet(train: Any) -> None:
    """Run the trainer without its advice about settings that are chosen on purpose."""
    loggers = [logging.getLogger(name) for name in ("transformers.trainer", "accelerate")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            # Old checkpoints are told by their numbers where times can't be trusted.
            warnings.filterwarnings("ignore", message="mtime may not be reliable")
            train()
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def save_adapter(encoder: SentenceTransformer, base: Base, directory: Path) -> None:
    """Write adapter_model.safetensors and adapter_config.json as PEFT does, without a machine's paths."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    model = transformer_of(encoder)
    (config,) = model.peft_config.values()
    config.inference_mode = True
    config.base_model_name_or_path = base.name
    config.revision = base.revision
    config.save_pretrained(str(directory))
    # Sets have no order; a file should not depend on the process that wrote it.
    path = directory / "adapter_config.json"
    written = json.loads(path.read_text(encoding="utf-8"))
    written["target_modules"] = sorted(written["target_modules"])
    path.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    tensors = {
        f"base_model.model.{name}": tensor.detach().float().cpu().contiguous()
        for name, tensor in get_peft_model_state_dict(
            model, adapter_name="default", save_embedding_layers=False
        ).items()
    }
    save_file(tensors, directory / "adapter_model.safetensors", metadata={"format": "pt"})


def _measures(encoder: SentenceTransformer, rows: Sequence[Triplet]) -> dict[str, Any]:
    similarities = triplet_similarities(encode_function(encoder), rows)
    return {name: asdict(found) for name, found in measure_by([row.domain for row in rows], similarities).items()}
