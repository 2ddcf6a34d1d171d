"""The subcommands of evaluation. Thin: they parse, call and print; nothing heavy is imported before it is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["evaluate"]

JsonOption = Annotated[bool, typer.Option("--json", help="Print facts as JSON.")]
SeedOption = Annotated[int, typer.Option(help="Of everything that is drawn.")]
TEST_HELP = "Rows that nobody trained on: JSON Lines file, or hf://datasets/owner/name/path; may be repeated."


def evaluate(
    test_file: Annotated[list[str], typer.Option("--test-file", "--test-data", help=TEST_HELP)],
    base_model: Annotated[str | None, typer.Option(help="Hub id, directory or builtin:...")] = None,
    adapter: Annotated[
        list[str] | None,
        typer.Option("--adapter", "--lora-model", help="PEFT directory or hub id; may be repeated."),
    ] = None,
    bundle: Annotated[
        list[Path] | None,
        typer.Option(help="A bundle, measured as it is served; may be repeated. Alone, no base model is measured."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write the facts to this JSON file too.")] = None,
    seed: SeedOption = 0,
    resamples: Annotated[int, typer.Option(min=100, help="Resamples of the bootstrap, at least.")] = 1000,
    confidence: Annotated[float, typer.Option(help="Of intervals and comparisons.")] = 0.95,
    as_json: JsonOption = False,
) -> None:
    """Measure base model, adapters and bundles: margin, ROC-AUC, hits at bounded false hits, with intervals."""
    from cachelora.errors import UsageError
    from cachelora.terminal import emit, stdout

    from cachelora_training.bases import DEFAULT_BASE
    from cachelora_training.directories import write_text_atomically
    from cachelora_training.evaluate.figures import Settings
    from cachelora_training.evaluate.results import evaluate_models
    from cachelora_training.tables import comparison_table, figures_tables

    if not 0 < confidence < 1:
        raise UsageError(f"--confidence is {confidence}, a share between 0 and 1 was expected")
    if base_model is None and (adapter or not bundle):
        base_model = DEFAULT_BASE
    settings = Settings(seed=seed, resamples=resamples, confidence=confidence)
    facts = evaluate_models(base_model, adapter or [], test_file, bundles=bundle or [], settings=settings)
    if output is not None:
        write_text_atomically(output, json.dumps(facts, ensure_ascii=False, separators=(",", ":")) + "\n")

    def render() -> None:
        if "base" in facts:
            after: dict[str, Any] | None = facts["adapter"]["by_domain"] if "adapter" in facts else None
            stdout.print(comparison_table(facts["base"]["by_domain"], after))
        for table in figures_tables(facts):
            stdout.print(table)

    emit(facts, as_json=as_json, render=render)
