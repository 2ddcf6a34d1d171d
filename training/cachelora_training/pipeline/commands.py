"""``cachelora pipeline``. Thin: it parses, calls and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["pipeline"]

DATA_HELP = "JSON Lines file, or hf://datasets/owner/name/path; may be repeated."


def pipeline(
    domain: Annotated[list[str], typer.Option("--domain", help="A domain of questions; may be repeated.")],
    output: Annotated[Path, typer.Option("--output", help="The directory for data, adapter, report and bundle.")],
    queries: Annotated[
        list[str] | None,
        typer.Option(help="Raw questions of a domain to generate from, as NAME=FILE; may be repeated."),
    ] = None,
    train_data: Annotated[
        list[str] | None, typer.Option("--train-data", help=f"Rows to train on as they are. {DATA_HELP}")
    ] = None,
    dev_data: Annotated[
        list[str] | None, typer.Option(help=f"Triplets on which the adapter's strength is chosen. {DATA_HELP}")
    ] = None,
    test_data: Annotated[
        list[str] | None,
        typer.Option("--test-data", "--test-file", help=f"Triplets that measure and calibrate. {DATA_HELP}"),
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="A YAML file, or a shipped recipe.")] = None,
    base_model: Annotated[
        str | None, typer.Option(help="Hub id, directory or builtin:... [default: the recipe's]")
    ] = None,
    backend: Annotated[str, typer.Option(help="endpoint, vllm (in this process) or rules (no model).")] = "endpoint",
    endpoint: Annotated[
        list[str] | None,
        typer.Option(help="OpenAI-compatible base URL, such as http://127.0.0.1:8000/v1; may be repeated."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model's name there; for vllm, directory or hub id.")] = None,
    num_samples: Annotated[int, typer.Option(min=1, help="Triplets to ask for in each domain.")] = 1000,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of generation and training. [default: 0, and the recipe's]")
    ] = None,
    budget: Annotated[
        list[float] | None,
        typer.Option(help="Highest share of false hits to calibrate for; may be repeated. [default: 0.05]"),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Do every stage anew, also in a directory that no pipeline made.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print facts as JSON.")] = False,
) -> None:
    """Generate, train, evaluate, export and calibrate; what is done and unchanged is not done again.

    A run that was stopped continues when it is given again. Triplets are generated for domains with --queries;
    files of --train-data are used as they are. The key of a server is read from OPENAI_API_KEY.
    """
    from cachelora.terminal import emit

    from cachelora_training.pipeline.plan import Plan, queries_by_domain
    from cachelora_training.pipeline.run import run_pipeline
    from cachelora_training.recipe import read_recipe

    plan = Plan(
        domains=tuple(domain),
        output=output,
        recipe=read_recipe(recipe, {"base_model": base_model, "seed": seed}),
        queries=queries_by_domain(queries or [], domain),
        train_data=tuple(train_data or ()),
        dev_data=tuple(dev_data or ()),
        test_data=tuple(test_data or ()),
        backend=backend,
        endpoint=tuple(endpoint or ()),
        model=model,
        samples=num_samples,
        seed=seed or 0,
        budgets=tuple(budget or (0.05,)),
    )
    facts = run_pipeline(plan, force=force)
    emit(facts, as_json=as_json, render=lambda: _print(facts))


def _print(facts: dict[str, Any]) -> None:
    from cachelora.terminal import stdout
    from rich.table import Table

    from cachelora_training.tables import comparison_table

    table = Table("stage", "", "seconds", "output")
    for one in facts["stages"]:
        style = "dim" if one["status"] == "reused" else None
        table.add_row(one["stage"], one["status"], f"{one['seconds']:.1f}", one["output"], style=style)
    stdout.print(table)
    if "after" in facts:
        stdout.print(comparison_table(facts["before"], facts["after"]))
