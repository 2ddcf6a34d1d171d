"""The subcommands of training. Thin: they parse, call and print; nothing heavy is imported before it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from cachelora.errors import CacheloraError, UsageError

__all__ = ["calibrate", "train"]

JsonOption = Annotated[bool, typer.Option("--json", help="Print facts as JSON.")]
DATA_HELP = "JSON Lines file, or hf://datasets/owner/name/path; may be repeated."


def train(
    train_data: Annotated[list[str], typer.Option("--train-data", help=f"Training triplets. {DATA_HELP}")],
    output: Annotated[Path, typer.Option("--output", help="The PEFT directory to write.")],
    more_train_data: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MORE]...", help="More files of training triplets."),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", help="A YAML file, or a shipped recipe; flags override it."),
    ] = None,
    base_model: Annotated[
        str | None, typer.Option(help="Hub id, directory or builtin:... [default: the recipe's]")
    ] = None,
    epochs: Annotated[float | None, typer.Option(help="How often each triplet is seen.")] = None,
    rank: Annotated[int | None, typer.Option(help="Rank of the update.")] = None,
    alpha: Annotated[float | None, typer.Option(help="Its scaling numerator.")] = None,
    target_modules: Annotated[
        str | None, typer.Option(help="Names of the updated matrices, separated by commas.")
    ] = None,
    dropout: Annotated[float | None, typer.Option(help="Dropout on an update's inputs.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Triplets per step, of all processes together.")] = None,
    balance: Annotated[
        float | None,
        typer.Option(help="How far small domains catch up: 0 rows as they come, 1 every domain equally often."),
    ] = None,
    scale: Annotated[float | None, typer.Option(help="What cosines are multiplied by before the softmax.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Where texts are cut.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, order and dropout.")] = None,
    dev_data: Annotated[
        list[str] | None,
        typer.Option(help=f"Triplets on which the adapter's strength is chosen. {DATA_HELP}"),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(help="Stop when so many measurements of the dev set did not improve; keep the best weights."),
    ] = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option(help="Where a killed run continues from. [default: OUTPUT.checkpoints, removed at the end]"),
    ] = None,
    checkpoint_steps: Annotated[
        int | None,
        typer.Option(help="Steps between checkpoints, and measurements of the dev set. [default: a tenth of all]"),
    ] = None,
    tensorboard: Annotated[Path | None, typer.Option(help="A directory for TensorBoard's curves.")] = None,
    eval_data: Annotated[
        list[str] | None,
        typer.Option(help=f"Test triplets, measured before and after. {DATA_HELP}"),
    ] = None,
    allow_leaks: Annotated[
        bool,
        typer.Option("--allow-leaks", help="Train even if a test question is in the training data."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a LoRA adapter on triplets."""
    from cachelora.terminal import emit, stdout

    from cachelora_training.processes import is_first, is_first_here, leave
    from cachelora_training.recipe import read_recipe
    from cachelora_training.tables import comparison_table
    from cachelora_training.train import train_adapter

    settings = read_recipe(
        recipe,
        {
            "base_model": base_model,
            "epochs": epochs,
            "rank": rank,
            "alpha": alpha,
            "target_modules": None if target_modules is None else tuple(_names(target_modules)),
            "dropout": dropout,
            "learning_rate": learning_rate,
            "batch_size": batch_size,
            "balance": balance,
            "scale": scale,
            "max_tokens": max_tokens,
            "seed": seed,
            "patience": patience,
            "checkpoint_steps": checkpoint_steps,
        },
    )
    try:
        facts = train_adapter(
            settings,
            [*train_data, *(more_train_data or [])],
            output,
            dev_data=dev_data or [],
            eval_data=eval_data or [],
            checkpoints=checkpoints,
            tensorboard=tensorboard,
            allow_leaks=allow_leaks,
            force=force,
        )
    except CacheloraError:
        # Every process finds the same fault; one message is enough.
        if is_first_here():
            raise
        raise typer.Exit(1) from None
    leave()
    if not is_first():
        return
    facts["output"] = str(output)

    def render() -> None:
        if "after" in facts:
            stdout.print(comparison_table(facts["before"], facts["after"]))
        stdout.print(
            f"{output}: adapter from {facts['triplets']} triplets in {facts['seconds']} s",
            highlight=False,
        )

    emit(facts, as_json=as_json, render=render)


def calibrate(
    bundle: Annotated[Path, typer.Argument(help="The bundle to calibrate.")],
    data: Annotated[list[str], typer.Option("--data", help=f"Rows that nobody trained on. {DATA_HELP}")],
    budget: Annotated[
        list[float] | None,
        typer.Option(help="Highest share of false hits; may be repeated. [default: 0.05]"),
    ] = None,
    confidence: Annotated[float, typer.Option(help="The probability with which the bound holds.")] = 0.95,
    simultaneous: Annotated[
        bool, typer.Option("--simultaneous", help="All bounds hold together, instead of each by itself.")
    ] = False,
    store_data: Annotated[
        list[str] | None, typer.Option(help="Questions without a common answer, to correct for a full store.")
    ] = None,
    store_size: Annotated[
        list[int] | None, typer.Option(min=1, help="Correct for so many entries; may be repeated.")
    ] = None,
    reviewed: Annotated[
        list[str] | None,
        typer.Option(help="An answered file of `cachelora review`: pairs with a wrong label are set aside."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draw among near misses with a question in common.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Find the thresholds that keep false hits within a budget, and write them into a bundle."""
    from cachelora.terminal import emit, stdout
    from rich.table import Table

    from cachelora_training.calibrate import calibrate_bundle
    from cachelora_training.tables import shown

    facts = calibrate_bundle(
        bundle,
        data,
        budgets=budget or [0.05],
        confidence=confidence,
        simultaneous=simultaneous,
        store_data=store_data or [],
        store_sizes=store_size or [],
        reviewed=reviewed or [],
        seed=seed,
    )

    def render() -> None:
        table = Table("domain", "budget", "threshold", "false hits", "rate at most", "hit rate")
        for domain, thresholds in facts["domains"].items():
            for found in thresholds:
                table.add_row(
                    domain,
                    f"{found['max_false_hit_rate']:g}",
                    f"{found['threshold']:.3f}",
                    f"{found['false_hits']} of {found['negatives']}",
                    f"{found['false_hit_rate_upper']:.4f}",
                    shown(found["hit_rate"], ".3f"),
                )
        if table.row_count:
            stdout.print(table)
        for missing in facts["not_calibrated"]:
            stdout.print(
                f"{missing['domain']} at {missing['max_false_hit_rate']:g}: no threshold; {missing['reason']}, "
                + (
                    "with that share no number of them is enough"
                    if missing["negatives_needed"] is None
                    else f"at least {missing['negatives_needed']} are needed"
                ),
                highlight=False,
            )
        for found in facts.get("store", {}).get("sizes", []):
            corrected = "none keeps the budget" if found["threshold"] is None else f"{found['threshold']:.3f} keeps it"
            stdout.print(
                f"{found['entries']} entries at {found['max_false_hit_rate']:g}: a wrong neighbour reaches "
                f"{found['calibrated_threshold']:.3f} for {found['predicted_wrong_neighbour_rate']:.4f} of the "
                f"questions (modelled; at most {found['wrong_neighbour_rate_at_most']:.4f}); {corrected}",
                highlight=False,
            )

    emit(facts, as_json=as_json, render=render)


def _names(listed: str) -> list[str]:
    names = [name.strip() for name in listed.split(",")]
    if not all(names):
        raise UsageError(f"--target-modules is {listed!r}, names separated by commas were expected")
    return names
