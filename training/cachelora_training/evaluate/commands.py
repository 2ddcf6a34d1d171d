"""The subcommands of evaluation. Thin: they parse, call and print; nothing heavy is imported before it is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["compare", "evaluate", "look", "review"]

JsonOption = Annotated[bool, typer.Option("--json", help="Print facts as JSON.")]
SeedOption = Annotated[int, typer.Option(help="Of everything that is drawn.")]
TEST_HELP = "Rows that nobody trained on: JSON Lines file, or hf://datasets/owner/name/path; may be repeated."

REVIEWED_HELP = "An answered file of `cachelora review`: pairs with a wrong label are set aside; may be repeated."


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
    reviewed: Annotated[list[str] | None, typer.Option(help=REVIEWED_HELP)] = None,
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
    from cachelora_training.directories import check_output_file, write_text_atomically
    from cachelora_training.evaluate.figures import Settings
    from cachelora_training.evaluate.results import evaluate_models
    from cachelora_training.tables import comparison_table, figures_tables

    if not 0 < confidence < 1:
        raise UsageError(f"--confidence is {confidence}, a share between 0 and 1 was expected")
    if output is not None:
        check_output_file(output)
    if base_model is None and (adapter or not bundle):
        base_model = DEFAULT_BASE
    settings = Settings(seed=seed, resamples=resamples, confidence=confidence)
    facts = evaluate_models(
        base_model, adapter or [], test_file, bundles=bundle or [], reviewed=reviewed or [], settings=settings
    )
    if output is not None:
        write_text_atomically(
            output, json.dumps(facts, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"
        )

    def render() -> None:
        if "base" in facts and "adapter" in facts:
            stdout.print(comparison_table(facts["base"]["by_domain"], facts["adapter"]["by_domain"]))
        for table in figures_tables(facts):
            stdout.print(table)

    emit(facts, as_json=as_json, render=render)


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="Results of `evaluate`, a bundle, or an adapter.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="What is compared with it, on the same rows.")],
    test_file: Annotated[
        list[str] | None, typer.Option("--test-file", "--test-data", help=f"To measure models now. {TEST_HELP}")
    ] = None,
    base_model: Annotated[str | None, typer.Option(help="Of adapters: hub id, directory or builtin:...")] = None,
    model_a: Annotated[
        str | None, typer.Option(help="A name or role in A's results. [default: adapter, else bundle, else base]")
    ] = None,
    model_b: Annotated[str | None, typer.Option(help="The same in B's.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")] = False,
    seed: SeedOption = 0,
    resamples: Annotated[int, typer.Option(min=100, help="Of models measured now.")] = 1000,
    as_json: JsonOption = False,
) -> None:
    """Compare two models on the same rows: differences, their intervals, and which of them are shown."""
    from cachelora.errors import UsageError
    from cachelora.terminal import emit, stdout

    from cachelora_training.evaluate.compare import compare_results, read_results, results_of_model
    from cachelora_training.evaluate.compare_tables import compare_markdown, compare_table
    from cachelora_training.evaluate.figures import Settings

    def results(named: Path) -> dict[str, Any]:
        if not named.is_dir():
            return read_results(named)
        if not test_file:
            raise UsageError(f"{named}: a model needs --test-file to be measured on")
        return results_of_model(named, base_model, test_file, Settings(seed=seed, resamples=resamples))

    facts = compare_results(results(a), results(b), model_a=model_a, model_b=model_b)

    def render() -> None:
        if markdown:
            print(compare_markdown(facts), end="")
        else:
            stdout.print(compare_table(facts))

    emit(facts, as_json=as_json, render=render)


def look(
    model: Annotated[Path, typer.Argument(help="A bundle, or a PEFT adapter.")],
    texts: Annotated[
        list[str] | None, typer.Argument(help="Pairs of questions, one after the other; without any, built-in ones.")
    ] = None,
    base_model: Annotated[str | None, typer.Option(help="The base model. [default: the bundle's]")] = None,
    no_base: Annotated[bool, typer.Option("--no-base", help="Leave the base model out.")] = False,
    domain: Annotated[str, typer.Option(help="Whose threshold decides.")] = "all",
    budget: Annotated[
        float | None, typer.Option(help="Calibrated share of false hits. [default: the smallest calibrated]")
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="A cosine instead of a calibrated threshold.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Try a few pairs of questions: base model against adapter, at the calibrated threshold."""
    from cachelora.terminal import emit, stdout
    from rich.table import Table
    from rich.text import Text

    from cachelora_training.evaluate.quick_look import look as look_at

    facts = look_at(
        model,
        texts or [],
        base_name=base_model,
        without_base=no_base,
        domain=domain,
        budget=budget,
        threshold=threshold,
    )

    def render() -> None:
        sides = [side for side in ("base", "adapter") if side in facts["pairs"][0]]
        table = Table("questions", "same answer", *sides)
        for pair in facts["pairs"]:
            known = {True: "yes", False: "no", None: ""}[pair["same"]]
            cells = [
                f"{pair[side]['cosine']:.3f}"
                + {True: " hit", False: " miss", None: ""}[pair[side]["hit"]]
                + (" WRONG" if pair["same"] is not None and pair[side]["hit"] not in (None, pair["same"]) else "")
                for side in sides
            ]
            table.add_row(Text(f"{pair['a']}\n{pair['b']}"), known, *cells)
        stdout.print(table)
        if facts["threshold"] is None:
            said = "no threshold: `cachelora calibrate` finds one for a bundle, --threshold gives one"
        elif facts["max_false_hit_rate"] is None:
            said = f"threshold {facts['threshold']:.3f}, as given"
        else:
            said = (
                f"threshold {facts['threshold']:.3f}, calibrated for {facts['domain']} to at most "
                f"{facts['max_false_hit_rate']:.0%} false hits"
            )
        stdout.print(said, highlight=False, markup=False)

    emit(facts, as_json=as_json, render=render)


def review(
    test_file: Annotated[list[str], typer.Option("--test-file", "--test-data", help=TEST_HELP)],
    output: Annotated[Path, typer.Option(help="The file to write, or to add to; what it holds stays.")],
    base_model: Annotated[str | None, typer.Option(help="Hub id, directory or builtin:...")] = None,
    adapter: Annotated[
        list[str] | None,
        typer.Option("--adapter", "--lora-model", help="PEFT directory or hub id; may be repeated."),
    ] = None,
    bundle: Annotated[list[Path] | None, typer.Option(help="A bundle; may be repeated.")] = None,
    share: Annotated[float, typer.Option(help="Of each domain's near misses, those most alike to a model.")] = 0.03,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Write the near misses that decide strict bounds to a file, for a person to say which labels are wrong."""
    from cachelora.terminal import emit, stdout

    from cachelora_training.bases import DEFAULT_BASE
    from cachelora_training.evaluate.review import write_review

    if base_model is None and (adapter or not bundle):
        base_model = DEFAULT_BASE
    facts = write_review(output, base_model, adapter or [], test_file, bundles=bundle or [], share=share, seed=seed)

    def render() -> None:
        stdout.print(
            f"{facts['output']}: {facts['pairs']} pairs, {facts['new']} of them new, {facts['answered']} answered\n"
            "say true or false for same_answer where it is null; then: cachelora evaluate --reviewed FILE",
            highlight=False,
            markup=False,
        )

    emit(facts, as_json=as_json, render=render)
