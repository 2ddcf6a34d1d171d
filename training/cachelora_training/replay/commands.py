"""The `replay` subcommand. Thin: it parses, calls and prints; nothing heavy is imported before it is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["replay"]

DATA_HELP = "JSON Lines file, or hf://datasets/owner/name/path; may be repeated."


def replay(
    bundle: Annotated[Path, typer.Argument(help="The bundle that encodes.")],
    data: Annotated[list[str], typer.Option("--data", help=f"Triplets, labelled pairs or intent rows. {DATA_HELP}")],
    unrelated: Annotated[
        list[str] | None, typer.Option(help=f"Questions that fill the store and the stream. {DATA_HELP}")
    ] = None,
    threshold: Annotated[
        list[float] | None, typer.Option(help="May be repeated. [default: the calibrated ones of all domains]")
    ] = None,
    entries: Annotated[
        list[int] | None,
        typer.Option(min=0, help="Entries of the store at the start; may be repeated. [default: 100, 1000, 10000]"),
    ] = None,
    questions: Annotated[int, typer.Option(min=1, help="How many arrive in each replay.")] = 5000,
    exponent: Annotated[float, typer.Option(help="Popularity of the k-th answer is k to the minus this.")] = 1.0,
    unrelated_share: Annotated[float, typer.Option(help="Share of arriving questions without a fellow.")] = 0.3,
    seed: Annotated[int, typer.Option(help="Of the stream.")] = 0,
    output: Annotated[Path | None, typer.Option(help="Write the facts to this JSON file too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print facts as JSON.")] = False,
) -> None:
    """Replay questions through caches of several sizes: hits, wrong hits, saved calls."""
    from cachelora.terminal import emit, stdout

    from cachelora_training.directories import check_output_file, write_text_atomically
    from cachelora_training.replay.run import Plan, replay_bundle
    from cachelora_training.replay.tables import replay_tables

    if output is not None:
        check_output_file(output)
    plan = Plan(tuple(entries or Plan.entries), questions, exponent, unrelated_share, seed)
    facts = replay_bundle(bundle, data, unrelated or [], plan, thresholds=threshold or [])
    if output is not None:
        write_text_atomically(output, json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def render() -> None:
        for table in replay_tables(facts):
            stdout.print(table)

    emit(facts, as_json=as_json, render=render)
