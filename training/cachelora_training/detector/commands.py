"""``cachelora fit-detector``. Thin: it parses, calls and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["fit_detector"]

DATA_HELP = "JSON Lines file, or hf://datasets/owner/name/path; may be repeated."


def fit_detector(
    bundle: Annotated[Path, typer.Argument(help="The bundle for all domains.")],
    data: Annotated[list[str], typer.Option("--data", help=f"Rows with a domain. {DATA_HELP}")],
    output: Annotated[Path, typer.Option("--output", help="The JSON file to write.")],
    test_data: Annotated[
        list[str] | None,
        typer.Option("--test-data", "--test-file", help=f"Rows that measure the detector. {DATA_HELP}"),
    ] = None,
    precision: Annotated[
        float, typer.Option(help="Share of the clear questions that must be told rightly, of rows held out.")
    ] = 0.98,
    seed: Annotated[int, typer.Option(min=0, help="Of the parts that are held out in turn.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print facts as JSON.")] = False,
) -> None:
    """Fit a detector of domains, for one bundle for all and others for single domains."""
    from cachelora.terminal import emit

    from cachelora_training.detector.fit import fit_detector as fit

    facts = fit(bundle, data, output, test_data=test_data or [], precision=precision, seed=seed, force=force)
    facts["output"] = str(output)
    emit(facts, as_json=as_json, render=lambda: _print(facts))


def _print(facts: dict[str, Any]) -> None:
    from cachelora.terminal import stdout
    from rich.table import Table

    table = Table("questions of", "questions", "likeliest right", "clear", "clear and wrong", "mean confidence")
    groups = {"rows held out": facts["held_out"]}
    groups |= {f"test: {name}": found for name, found in facts.get("test", {}).items() if name != "together"}
    for name, found in groups.items():
        shares = [f"{found[key]:.3f}" for key in ("accuracy", "clear", "wrong", "confidence")]
        table.add_row(name, str(found["questions"]), *shares)
    stdout.print(table)
    if facts["least_confidence"] > 1:
        stdout.print("No confidence is enough for that precision: every question stays with the shared bundle.")
    if "test" in facts:
        stdout.print(f"{facts['test']['together']:.1%} of same-answer pairs go to one place", highlight=False)
    stdout.print(
        f"{facts['output']}: {', '.join(facts['domains'])}; clear from {facts['least_confidence']:.2f} on",
        highlight=False,
    )
