"""The subcommand of the benchmarks. Thin: it parses, calls and prints; nothing heavy is imported before it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, cast, get_args

import typer

__all__ = ["bench"]

bench = typer.Typer(
    help="Measure a bundle beside its peers in one run.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

BundleArgument = Annotated[Path, typer.Argument(help="The bundle to measure.")]
BaseOption = Annotated[str | None, typer.Option(help="What PyTorch loads. [default: the bundle's base model]")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print facts as JSON.")]


@bench.command()
def latency(
    bundle: BundleArgument,
    tokens: Annotated[str, typer.Option(help="Lengths in tokens, separated by commas.")] = "8,16,32,64,128",
    rounds: Annotated[int, typer.Option(min=3, help="Turns of five runs that each engine has per length.")] = 20,
    base_model: BaseOption = None,
    through_onnxruntime: Annotated[
        bool, typer.Option("--through-onnxruntime", help="Also ours with ONNX Runtime as its backend.")
    ] = False,
    clock: Annotated[
        Literal["wall", "cpu"],
        typer.Option(help="cpu counts processor time only: for machines that others use too.", metavar="wall|cpu"),
    ] = "wall",
    as_json: JsonOption = False,
) -> None:
    """Time one text, one thread: sentence-transformers, ONNX Runtime in float32 and int8, ours, and the limit."""
    from cachelora.errors import BundleNotFoundError, UsageError
    from cachelora.terminal import emit, stdout
    from rich.table import Table

    from cachelora_benchmarks.latency import LIMIT, measure_latency

    try:
        counts = [int(count) for count in tokens.split(",")]
    except ValueError:
        raise UsageError(f"--tokens is {tokens!r}, numbers separated by commas were expected") from None
    if not (bundle / "cachelora.json").is_file():
        raise BundleNotFoundError(f"{bundle}: no bundle; `cachelora export` writes one")
    facts = measure_latency(
        bundle, counts, rounds=rounds, base_model=base_model, through_onnxruntime=through_onnxruntime, clock=clock
    )

    def render() -> None:
        columns = list(next(iter(facts["latency"].values())))
        engines = [name for name in columns if name != LIMIT]
        table = Table(
            "tokens",
            *(f"{name}, ms" for name in columns),
            *(f"{name} / ours" for name in engines[:-1]),
            *(["ours / limit"] if LIMIT in columns else []),
            "ours, ms a token",
        )
        for count, found in facts["latency"].items():
            times = (
                f"{found[name]['median']:.2f} ({found[name]['p5']:.2f}-{found[name]['p95']:.2f})" for name in columns
            )
            ratios = [_of(found[name]["times_ours"]) for name in engines[:-1]]
            if LIMIT in found:
                ratios.append(_of(found[LIMIT]["ours_times"]))
            table.add_row(count, *times, *ratios, f"{found[engines[-1]]['per_token']:.4f}")
        stdout.print(table)
        stdout.print(
            f"medians (5th to 95th percentile) of {facts['runs']} runs, one thread, {clock} clock, "
            f"{facts['machine']['processor']}",
            highlight=False,
        )

    emit(facts, as_json=as_json, render=render)


@bench.command()
def margin(
    bundle: BundleArgument,
    test_file: Annotated[
        list[str],
        typer.Option(
            "--test-file",
            "--test-data",
            help="Test triplets: JSON Lines file or hf://...; may be repeated.",
        ),
    ],
    base_model: BaseOption = None,
    adapter: Annotated[
        str | None,
        typer.Option("--adapter", "--lora-model", help="The merged adapter, to compare with PyTorch."),
    ] = None,
    backend: Annotated[str, typer.Option(help="auto (what users get), fused or onnxruntime.", metavar="NAME")] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Measure margin and ROC-AUC of the bundle as it is served, beside the base model."""
    from cachelora.embedder import Backend
    from cachelora.errors import BundleNotFoundError, UsageError
    from cachelora.terminal import emit, stdout
    from rich.table import Table

    from cachelora_benchmarks.margin import measure_margin

    if not (bundle / "cachelora.json").is_file():
        raise BundleNotFoundError(f"{bundle}: no bundle; `cachelora export` writes one")
    if backend not in get_args(Backend):
        raise UsageError(f"--backend is {backend!r}, one of {', '.join(get_args(Backend))} was expected")
    facts = measure_margin(bundle, test_file, base_model=base_model, adapter=adapter, backend=cast("Backend", backend))

    def render() -> None:
        table = Table("engine", "domain", "triplets", "margin", "ROC-AUC", "seconds")
        for name, engine in facts["engines"].items():
            for domain, found in engine["by_domain"].items():
                seconds = f"{engine['seconds']:.2f}" if domain == "all" else ""
                table.add_row(
                    name,
                    domain,
                    str(found["triplets"]),
                    f"{found['margin']:.4f}",
                    f"{found['roc_auc']:.4f}",
                    seconds,
                )
        stdout.print(table)
        if "parity" in facts:
            stdout.print(
                f"bundle against PyTorch: cosines differ by at most {facts['parity']['max_cosine_difference']:.1e}, "
                f"the margin by {facts['parity']['margin_difference']:+.1e}",
                highlight=False,
            )

    emit(facts, as_json=as_json, render=render)


def _of(ratio: dict[str, float]) -> str:
    return f"{ratio['median']:.2f} ({ratio['p5']:.2f}-{ratio['p95']:.2f})"
