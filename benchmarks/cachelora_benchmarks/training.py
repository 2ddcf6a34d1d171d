"""Training by a recipe beside a bare loop of sentence-transformers on the same rows: time and memory."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cachelora.errors import CacheloraError, UsageError
from cachelora.terminal import note, progress
from cachelora_training.bases import resolve_base
from cachelora_training.examples import Examples, read_examples
from cachelora_training.recipe import Recipe, read_recipe
from cachelora_training.train import new_adapter, ranking_loss, train_encoder

from cachelora_benchmarks.latency import spread
from cachelora_benchmarks.machine import describe_machine

__all__ = ["measure_training"]

OURS, BARE = "cachelora", "sentence-transformers"


def measure_training(
    sources: list[str], *, recipe: str | None, base_model: str, triplets: int, rounds: int, threads: int
) -> dict[str, Any]:
    """Train one epoch both ways in turns, each time in a fresh process.

    Both see the same rows: what a recipe adds to them is left out, what it does with them (its loss, its batches, the
    base model's vectors that these need) is timed.

    Args:
        sources: Triplets; the first ``triplets`` are used.
        recipe: As for ``cachelora train``.
        base_model: As for ``cachelora train``.
        triplets: Rows of the epoch.
        rounds: Runs of each.
        threads: Of PyTorch.

    Raises:
        UsageError: there are too few triplets.
    """
    rows = read_examples(sources).triplets
    if len(rows) < triplets:
        raise UsageError(f"{triplets} triplets were asked for, {', '.join(sources)} have {len(rows)}")
    same_rows = {"epochs": 1, "exchange": False, "light_rewordings": 0, "rule_triplets": 0}
    settings = read_recipe(recipe, {"base_model": base_model} | same_rows)
    base = resolve_base(base_model)
    found: dict[str, list[dict[str, float]]] = {OURS: [], BARE: []}
    note(f"training on {triplets} triplets, {rounds} times each way, {threads} threads")
    with tempfile.TemporaryDirectory() as directory, progress() as display:
        data = Path(directory) / "rows.jsonl"
        data.write_text(
            "".join(
                json.dumps({"anchor": row.anchor, "positive": row.positive, "negative": row.negative}) + "\n"
                for row in rows[:triplets]
            ),
            encoding="utf-8",
        )
        task = display.add_task("training", total=2 * rounds)
        for turn in range(rounds):
            for engine in (OURS, BARE) if turn % 2 == 0 else (BARE, OURS):
                found[engine].append(_fresh_process(engine, settings, data, threads))
                display.advance(task)
    ratios = [ours["seconds"] / bare["seconds"] for ours, bare in zip(found[OURS], found[BARE], strict=True)]
    return {
        "machine": describe_machine(),
        "recipe": settings.model_dump(mode="json") | {"base_model": base.name},
        "triplets": triplets,
        "threads": threads,
        "rounds": rounds,
        "seconds": {name: spread([run["seconds"] for run in runs], 1) for name, runs in found.items()},
        "ours_times": spread(ratios, 3),
        "peak_mib": {name: round(max(run["peak_mib"] for run in runs)) for name, runs in found.items()},
    }


def _fresh_process(engine: str, settings: Recipe, data: Path, threads: int) -> dict[str, float]:
    call = [sys.executable, "-m", __name__, engine, settings.model_dump_json(), str(data)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(call, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise CacheloraError(f"{engine} failed: {done.stderr.strip()[-2000:]}")
    facts: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return facts


def run(engine: str, settings: Recipe, data: Path) -> dict[str, float]:
    """Train one way in this process; return seconds and the peak of resident memory in MiB."""
    examples = read_examples([str(data)])
    encoder = new_adapter(resolve_base(settings.base_model), settings)
    start = time.perf_counter()
    if engine == OURS:
        train_encoder(encoder, examples, settings)
    else:
        train_bare(encoder, examples, settings)
    return {
        "seconds": time.perf_counter() - start,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def train_bare(encoder: Any, examples: Examples, settings: Recipe) -> None:
    """Train as the library's own documentation shows: its trainer, its ranking loss, random batches."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments

    columns = ("anchor", "positive", "negative")
    rows = {name: [getattr(row, name) for row in examples.triplets] for name in columns}
    with tempfile.TemporaryDirectory() as scratch:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=scratch,
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            warmup_ratio=settings.warmup_ratio,
            seed=settings.seed,
            save_strategy="no",
            disable_tqdm=True,
            report_to=[],
        )
        # Otherwise the library searches the data for examples to show, before it trains.
        encoder.model_card_data.widget = [{"text": examples.texts[0]}]
        SentenceTransformerTrainer(
            model=encoder,
            args=arguments,
            train_dataset=Dataset.from_dict(rows),
            loss=ranking_loss(encoder, settings),
        ).train()


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], Recipe.model_validate_json(sys.argv[2]), Path(sys.argv[3]))))
