"""``cachelora generate``. Thin: it parses, calls and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from cachelora.errors import UsageError

__all__ = ["generate"]


def generate(
    domain: Annotated[str, typer.Option(help="A domain of domains.yaml.")],
    queries: Annotated[
        str,
        typer.Option(
            help="Raw questions: one a line; or .jsonl, .csv, .tsv with them under query, question, anchor or text."
        ),
    ],
    output: Annotated[Path, typer.Option(help="The JSON Lines file to write.")],
    num_samples: Annotated[int, typer.Option(min=1, help="How many triplets to ask for; filters leave fewer.")] = 1000,
    backend: Annotated[str, typer.Option(help="endpoint, vllm (in this process) or rules (no model).")] = "endpoint",
    endpoint: Annotated[
        list[str] | None,
        typer.Option(help="OpenAI-compatible base URL, such as http://127.0.0.1:8000/v1; may be repeated."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model's name there; for vllm, directory or hub id.")] = None,
    domains: Annotated[Path | None, typer.Option(help="Another file of domains.")] = None,
    test_data: Annotated[
        list[str] | None, typer.Option(help="Test triplets that no row may come near; may be repeated.")
    ] = None,
    second_opinion: Annotated[
        bool, typer.Option("--second-opinion", help="Let the model judge each row, and drop those that it doubts.")
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests in flight.")] = 16,
    retries: Annotated[int, typer.Option(min=0, help="How often a failed request is tried again.")] = 8,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds until a request counts as lost.")] = 120.0,
    temperature: Annotated[float, typer.Option(min=0.0, help="Of the model's replies.")] = 0.8,
    max_tokens: Annotated[int, typer.Option(min=16, help="Longest reply.")] = 256,
    gpus: Annotated[int, typer.Option(min=1, help="For vllm: GPUs that share one copy of the model.")] = 1,
    least_positive: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Least share of meaning words that a positive has in common.")
    ] = 0.05,
    most_negative: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Highest share of meaning words that a negative has in common.")
    ] = 0.999,
    seed: Annotated[int, typer.Option(help="Of the order of questions.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print facts as JSON.")] = False,
) -> None:
    """Make triplets from raw questions; a run that was stopped continues when it is given again.

    The key of a server is read from the environment variable OPENAI_API_KEY.
    """
    from cachelora.terminal import emit

    from cachelora_training.domains import domain_named
    from cachelora_training.generate.backends import check_backend, make_asker
    from cachelora_training.generate.run import Job, generate_from_model, generate_from_rules

    check_backend(backend, model, endpoint or [])
    if backend == "rules" and second_opinion:
        raise UsageError("--second-opinion asks a model; --backend rules has none")
    job = Job(
        domain_name=domain,
        domain=domain_named(domain, domains),
        queries=queries,
        output=output,
        count=num_samples,
        seed=seed,
        test_data=test_data or (),
        least_positive=least_positive,
        most_negative=most_negative,
        force=force,
    )
    # A model's name is there unless rules are asked for.
    if backend == "rules" or model is None:
        facts = generate_from_rules(job)
    else:
        ask = make_asker(
            backend,
            model,
            endpoint or [],
            seed=seed,
            temperature=temperature,
            max_tokens=max_tokens,
            concurrency=concurrency,
            retries=retries,
            timeout=timeout,
            gpus=gpus,
        )
        facts = generate_from_model(job, ask, model=model, temperature=temperature, second_opinion=second_opinion)
    emit(facts, as_json=as_json, render=lambda: _print(facts))


def _print(facts: dict[str, Any]) -> None:
    from cachelora.terminal import stdout
    from rich.table import Table

    table = Table("rows", "count")
    table.add_row("asked for", str(facts["asked_for"]))
    if "tried" in facts:
        table.add_row("tried", str(facts["tried"]))
    for reason, count in facts["refused"].items():
        table.add_row(f"refused: {reason}", str(count))
    table.add_row("written", str(facts["written"]), style="bold")
    for kind, count in facts["kinds"].items():
        table.add_row(f"  {kind}", str(count))
    stdout.print(table)
    if "requests" in facts:
        tokens = f"in all {facts['prompt_tokens']:,} tokens read, {facts['completion_tokens']:,} written"
        if not facts["completion_tokens"]:
            tokens = "the server counts no tokens"
        stdout.print(
            f"{facts['requests']} requests now, {facts['continued']} replies from before; {tokens}",
            highlight=False,
        )
    elif facts["written"] < facts["asked_for"]:
        stdout.print("These questions give rules no more; give more questions, or a model.", highlight=False)
    stdout.print(f"{facts['output']}: {facts['written']} triplets in {facts['seconds']} s", highlight=False)
