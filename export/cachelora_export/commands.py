"""The subcommand of export. Thin: it parses, calls and prints; nothing heavy is imported before it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["export"]


def export(
    output: Annotated[Path, typer.Option(help="The bundle's directory.")],
    base_model: Annotated[
        str | None,
        typer.Option(help="Hub id, directory or builtin:... [default: what the adapter was trained on]"),
    ] = None,
    adapter: Annotated[
        str | None,
        typer.Option("--adapter", "--lora-model", help="PEFT directory or hub id; without it the bare base."),
    ] = None,
    parity_texts: Annotated[
        Path | None,
        typer.Option(help="Texts to compare on, one a line; made from built-in sentences by default."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Merge, export, prove parity with PyTorch, and write a bundle."""
    from cachelora.errors import UsageError
    from cachelora.terminal import emit, stdout
    from cachelora_training.adapters import resolve_adapter
    from cachelora_training.bases import DEFAULT_BASE
    from rich.table import Table

    from cachelora_export.bundle import export_bundle

    if base_model is None:
        base_model = (resolve_adapter(adapter).base_name if adapter else None) or DEFAULT_BASE
    texts: list[str] | None = None
    if parity_texts is not None:
        if not parity_texts.is_file():
            raise UsageError(f"--parity-texts {parity_texts}: no such file")
        texts = [line for line in parity_texts.read_text(encoding="utf-8").splitlines() if line.strip()]
        if not texts:
            raise UsageError(f"--parity-texts {parity_texts}: has no text")
    manifest = export_bundle(base_model, adapter, output, parity_texts=texts, force=force)
    facts = manifest.model_dump(mode="json")

    def render() -> None:
        table = Table(show_header=False)
        parity = manifest.parity
        table.add_row("bundle", str(output))
        table.add_row("base model", manifest.base_model.id)
        table.add_row("adapter", manifest.adapter.id if manifest.adapter else "none")
        table.add_row(
            "vector",
            f"{manifest.dimension} numbers, {manifest.pooling} pooling, {manifest.max_tokens} tokens",
        )
        table.add_row(
            "parity",
            f"lowest cosine {parity['cosine_min']:.8f} on {parity['texts']} texts of {parity['tokens_min']} to "
            f"{parity['tokens_max']} tokens",
        )
        table.add_row("fingerprint", manifest.fingerprint)
        stdout.print(table)

    emit(facts, as_json=as_json, render=render)
