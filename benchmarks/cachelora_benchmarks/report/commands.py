"""The subcommand of the report. Thin: it parses, calls and prints; nothing heavy is imported before it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report"]

ROWS_HELP = "Triplets, labelled pairs or intent rows: JSON Lines file or hf://...; may be repeated."


def report(
    test_file: Annotated[
        list[str],
        typer.Option(
            "--test-file",
            "--test-data",
            help=ROWS_HELP,
        ),
    ],
    output: Annotated[Path, typer.Option("--output", help="The HTML file to write.")],
    bundle: Annotated[Path | None, typer.Option(help="The bundle, as it is served.")] = None,
    base_model: Annotated[
        str | None, typer.Option(help="Hub id, directory or builtin:... [default: the bundle's or adapter's]")
    ] = None,
    adapter: Annotated[
        str | None,
        typer.Option(
            "--adapter", "--lora-model", help="PEFT directory or hub id; beside a bundle, how it was trained."
        ),
    ] = None,
    latency: Annotated[
        Path | None, typer.Option(help="A file of `cachelora bench latency --json`, for its bars.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print facts as JSON.")] = False,
) -> None:
    """Write one self-contained HTML file: base model against adapter or bundle, at any threshold."""
    from cachelora.terminal import emit, stdout

    from cachelora_benchmarks.report.write import write_report

    facts = write_report(test_file, output, bundle=bundle, base_model=base_model, adapter=adapter, latency=latency)

    def render() -> None:
        stdout.print(
            f"{output}: at threshold {facts['threshold']:.3f} {facts['hit_rate']:.1%} of {facts['positives']:,} "
            f"repeated questions hit, and {facts['wrong_hit_rate']:.1%} of {facts['negatives']:,} near misses",
            highlight=False,
        )

    emit(facts, as_json=as_json, render=render)
