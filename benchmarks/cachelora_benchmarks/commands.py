"""The subcommand of the benchmarks. Thin: it parses, calls and prints; nothing heavy is imported before it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

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
BackendOption = Annotated[
    Literal["auto", "fused", "onnxruntime"],
    typer.Option(help="auto (what users get), fused or onnxruntime.", metavar="NAME"),
]
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
    peer: Annotated[
        list[str] | None,
        typer.Option(help="NAME=PATH of a peer's program, beside those in build/peers; may be repeated."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Time one text, one thread: sentence-transformers, ONNX Runtime in float32 and int8, peers, ours, the limit."""
    from cachelora.terminal import emit, stdout
    from rich.table import Table

    from cachelora_benchmarks.latency import measure_latency
    from cachelora_benchmarks.peers import find_peers

    counts = _numbers("--tokens", tokens)
    _check_bundle(bundle)
    facts = measure_latency(
        bundle,
        counts,
        rounds=rounds,
        base_model=base_model,
        through_onnxruntime=through_onnxruntime,
        clock=clock,
        peers=find_peers(peer or ()),
    )

    def render() -> None:
        # A row for each engine: so many columns of peers fit no terminal.
        table = Table("tokens", "engine", "ms", "/ ours", "ours /", "ms a token")
        for count, found in facts["latency"].items():
            for row, (name, times) in enumerate(found.items()):
                table.add_row(
                    count if row == 0 else "",
                    name,
                    f"{times['median']:.2f} ({times['p5']:.2f}-{times['p95']:.2f})",
                    _of(times["times_ours"]),
                    _of(times["ours_times"]),
                    f"{times['per_token']:.4f}" if "per_token" in times else "",
                    end_section=row == len(found) - 1,
                )
        stdout.print(table)
        stdout.print(
            f"medians (5th to 95th percentile) of {facts['runs']} runs, one thread, {clock} clock, "
            f"{facts['machine']['processor']}",
            highlight=False,
        )
        for name, about in facts["peers"].items():
            if "left_out" in about:
                stdout.print(f"{name} is left out: {about['left_out']}", highlight=False, markup=False)
            else:
                reference = "sentence-transformers" if about["reads"] == "base" else "ONNX Runtime"
                stdout.print(
                    f"{name} {about['version']}: cosine {about['cosine']:.6f} with {reference}, "
                    f"{about['cosine_ordinary']:.6f} for a text with capitals, marks and an accent",
                    highlight=False,
                    markup=False,
                )

    emit(facts, as_json=as_json, render=render)


@bench.command()
def throughput(
    bundle: BundleArgument,
    texts: Annotated[Path, typer.Option(help="Questions: one a line, or JSON Lines with the key query or anchor.")],
    threads: Annotated[str, typer.Option(help="Numbers of threads, separated by commas.")] = "1,2",
    count: Annotated[int, typer.Option(min=1, help="How many of the texts.")] = 1000,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each number of threads.")] = 7,
    backend: BackendOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Count texts per second in one call with several texts, by number of threads."""
    from cachelora.terminal import emit, stdout
    from rich.table import Table

    from cachelora_benchmarks.throughput import measure_throughput, read_questions

    _check_bundle(bundle)
    numbers = _numbers("--threads", threads)
    facts = measure_throughput(bundle, read_questions(texts, count), numbers, rounds=rounds, backend=backend)

    def render() -> None:
        table = Table("threads", "texts a second", f"times {numbers[0]}")
        for name, found in facts["throughput"].items():
            table.add_row(
                name, f"{found['median']:.0f} ({found['p5']:.0f}-{found['p95']:.0f})", _of(found["times_first"])
            )
        stdout.print(table)
        stdout.print(
            f"{facts['texts']} texts of {facts['tokens']['mean']} tokens on average, {rounds} rounds, "
            f"{facts['kernel'] or facts['backend']}",
            highlight=False,
        )

    emit(facts, as_json=as_json, render=render)


@bench.command()
def memory(
    bundle: BundleArgument,
    rounds: Annotated[int, typer.Option(min=1, help="Fresh processes, for each of cold and cached.")] = 7,
    backend: BackendOption = "auto",
    library: Annotated[Path | None, typer.Option(help="A libcachelora.so whose stripped size is told too.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the time from opening to the first vector, resident memory and the library's size."""
    from cachelora.terminal import emit, stdout

    from cachelora_benchmarks.memory import measure_memory

    _check_bundle(bundle)
    facts = measure_memory(bundle, rounds=rounds, backend=backend, library=library)

    def render() -> None:
        for state, found in facts["first_vector_ms"].items():
            stdout.print(f"open to first vector, {state:8} {_of(found)} ms", highlight=False)
        for key, found in facts["resident_mib"].items():
            stdout.print(
                f"resident {key.replace('_', ' '):15} {found['all']:6.1f} MiB "
                f"({found['own']:.1f} own, {found['files']:.1f} of files)",
                highlight=False,
            )
        for name, size in facts["stripped_bytes"].items():
            stdout.print(f"{name}: {'no strip here' if size is None else f'{size / 1e6:.1f} MB stripped'}")

    emit(facts, as_json=as_json, render=render)


@bench.command()
def training(
    train_data: Annotated[
        list[str], typer.Option("--train-data", help="Triplets: JSON Lines file or hf://...; may be repeated.")
    ],
    recipe: Annotated[str | None, typer.Option(help="As for `cachelora train`.")] = None,
    base_model: Annotated[str, typer.Option(help="As for `cachelora train`.")] = "builtin:all-MiniLM-L6-v2",
    triplets: Annotated[int, typer.Option(min=1, help="Rows of the one epoch.")] = 2000,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each, in turns.")] = 3,
    threads: Annotated[int, typer.Option(min=1, help="Threads of PyTorch.")] = 2,
    as_json: JsonOption = False,
) -> None:
    """Time training by a recipe beside a bare loop of sentence-transformers on the same rows."""
    from cachelora.terminal import emit, stdout

    from cachelora_benchmarks.training import measure_training

    facts = measure_training(
        train_data, recipe=recipe, base_model=base_model, triplets=triplets, rounds=rounds, threads=threads
    )

    def render() -> None:
        for name, found in facts["seconds"].items():
            stdout.print(f"{name:22} {_of(found)} s, peak {facts['peak_mib'][name]} MiB", highlight=False)
        stdout.print(f"ours / bare: {_of(facts['ours_times'])}", highlight=False)

    emit(facts, as_json=as_json, render=render)


@bench.command()
def base(
    output: Annotated[Path, typer.Argument(help="The directory to write; `cachelora export` reads it.")],
    of: Annotated[str, typer.Option(help="The base whose layers are repeated.")] = "builtin:all-MiniLM-L6-v2",
    layers: Annotated[int, typer.Option(min=1, help="How many layers it will have.")] = 12,
    max_tokens: Annotated[int | None, typer.Option(help="Tokens of a text that it reads. [default: as --of]")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing directory.")] = False,
) -> None:
    """Write a base model of another depth, for timing; its vectors mean nothing."""
    from cachelora_benchmarks.base import write_deeper_base

    write_deeper_base(of, output, layers=layers, max_tokens=max_tokens, force=force)


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
    backend: BackendOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Measure margin and ROC-AUC of the bundle as it is served, beside the base model."""
    from cachelora.terminal import emit, stdout
    from rich.table import Table

    from cachelora_benchmarks.margin import measure_margin

    _check_bundle(bundle)
    facts = measure_margin(bundle, test_file, base_model=base_model, adapter=adapter, backend=backend)

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


@bench.command("all")
def every(
    bundle: BundleArgument,
    output: Annotated[Path, typer.Option("--out", "--output", help="The directory for one JSON file of each.")],
    texts: Annotated[Path, typer.Option(help="As for throughput.")],
    test_file: Annotated[
        list[str] | None,
        typer.Option("--test-file", "--test-data", help="As for margin, which is left out without."),
    ] = None,
    train_data: Annotated[
        list[str] | None, typer.Option("--train-data", help="As for training, which is left out without.")
    ] = None,
    tokens: Annotated[str | None, typer.Option(help="As for latency.")] = None,
    threads: Annotated[str | None, typer.Option(help="As for throughput.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="As for throughput.")] = None,
    triplets: Annotated[int | None, typer.Option(min=1, help="As for training.")] = None,
    recipe: Annotated[str | None, typer.Option(help="As for training.")] = None,
    library: Annotated[Path | None, typer.Option(help="As for memory.")] = None,
    base_model: BaseOption = None,
    rounds: Annotated[int | None, typer.Option(min=3, help="Rounds of each. [default: each one's own]")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier run in the directory.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run latency, throughput, memory, margin and training in turn; exit 1 if one of them failed."""
    from cachelora.terminal import emit, stdout

    from cachelora_benchmarks.suite import measure_all

    _check_bundle(bundle)
    for option, numbers in (("--tokens", tokens), ("--threads", threads)):
        if numbers is not None:
            _numbers(option, numbers)
    turns = _given("--rounds", rounds)
    base = _given("--base-model", base_model)
    arguments = {
        "latency": [str(bundle), *_given("--tokens", tokens), *base, *turns],
        "throughput": [
            str(bundle),
            *("--texts", str(texts)),
            *_given("--threads", threads),
            *_given("--count", count),
            *turns,
        ],
        "memory": [str(bundle), *_given("--library", library), *turns],
    }
    if test_file:
        arguments["margin"] = [str(bundle), *_given("--test-file", *test_file), *base]
    if train_data:
        arguments["training"] = [
            *_given("--train-data", *train_data),
            *_given("--recipe", recipe),
            *_given("--triplets", triplets),
            *base,
            *turns,
        ]
    outcome = measure_all(bundle, output, arguments, force=force)
    facts = {
        "output": str(output),
        "files": {name: str(path) for name, path in outcome.files.items()},
        "failed": outcome.failed,
    }

    def render() -> None:
        for name in arguments:
            stdout.print(
                f"{name:12} {outcome.files.get(name, '')}{outcome.failed.get(name, '')}", highlight=False, markup=False
            )

    emit(facts, as_json=as_json, render=render)
    if outcome.failed:
        raise typer.Exit(1)


@bench.command()
def page(
    results: Annotated[
        Path, typer.Argument(help="A directory of directories that `bench all` wrote, one for each bundle.")
    ],
    output: Annotated[Path, typer.Option(help="The Markdown file; plots are written below RESULTS.")],
    readme: Annotated[
        Path | None, typer.Option(help="A file whose part between the marker comments is written anew.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if a file is out of date.")] = False,
) -> None:
    """Write a Markdown page with tables and plots of what was measured."""
    from cachelora.errors import CacheloraError
    from cachelora.terminal import stdout

    from cachelora_benchmarks.page.write import stale_files, write_page

    if check:
        stale = stale_files(results, output, readme)
        if stale:
            raise CacheloraError(
                f"{', '.join(map(str, stale))}: not what {results} says; without --check they are written anew"
            )
        return
    for path in write_page(results, output, readme):
        stdout.print(str(path), highlight=False, markup=False)


def _given(option: str, *values: object) -> list[str]:
    """Return ``option`` before each value that was given, as a command line has it."""
    return [word for value in values if value is not None for word in (option, str(value))]


def _of(ratio: dict[str, float]) -> str:
    return f"{ratio['median']:.2f} ({ratio['p5']:.2f}-{ratio['p95']:.2f})"


def _numbers(option: str, given: str) -> list[int]:
    from cachelora.errors import UsageError

    try:
        numbers = [int(number) for number in given.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise UsageError(f"{option} is {given!r}, numbers separated by commas were expected")
    return numbers


def _check_bundle(bundle: Path) -> None:
    from cachelora.errors import BundleNotFoundError

    if not (bundle / "cachelora.json").is_file():
        raise BundleNotFoundError(f"{bundle}: no bundle; `cachelora export` writes one")
