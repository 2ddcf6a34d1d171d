"""The subcommands of the runtime: embed, similarity, detect, doctor. Thin: they parse, call and print."""

from __future__ import annotations

import json
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

__all__ = ["detect", "doctor", "embed", "similarity"]

BundleArgument = Annotated[Path, typer.Argument(help="The bundle: a directory that `cachelora export` wrote.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print facts as JSON.")]
RuntimeOption = Annotated[
    Path | None,
    typer.Option("--onnxruntime", help="The ONNX Runtime library file; searched for by default."),
]
BackendOption = Annotated[
    Literal["auto", "fused", "onnxruntime"],
    typer.Option(help="The encoder; auto is fused where the bundle has int8 weights.", metavar="NAME"),
]


def embed(
    bundle: BundleArgument,
    texts: Annotated[list[str] | None, typer.Argument(help="Texts; without any, one per line of stdin.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads that share the work.")] = 1,
    backend: BackendOption = "auto",
    onnxruntime: RuntimeOption = None,
) -> None:
    """Embed texts: one JSON object a line with text, tokens, truncated and vector."""
    from cachelora import Embedder

    sentences = texts or [line.rstrip("\n") for line in sys.stdin]
    with Embedder(bundle, threads=threads, backend=backend, onnxruntime_path=onnxruntime) as embedder:
        encoded = embedder.encode_with_info(sentences)
    for text, vector, tokens, truncated in zip(
        sentences, encoded.vectors, encoded.tokens, encoded.truncated, strict=True
    ):
        row = {
            "text": text,
            "tokens": int(tokens),
            "truncated": bool(truncated),
            # The shortest decimal that reads back as the same float32.
            "vector": [float(str(value)) for value in vector],
        }
        print(json.dumps(row, ensure_ascii=False))


def similarity(
    bundle: BundleArgument,
    first: Annotated[str, typer.Argument(help="A question.")],
    second: Annotated[str, typer.Argument(help="Another question.")],
    domain: Annotated[str, typer.Option(help="The domain whose threshold decides.")] = "all",
    max_false_hit_rate: Annotated[
        float | None,
        typer.Option(help="The false-hit budget that decides; must have been calibrated."),
    ] = None,
    backend: BackendOption = "auto",
    onnxruntime: RuntimeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the cosine of two texts and, for a budget, whether one answer may serve both."""
    from cachelora import Embedder
    from cachelora.terminal import emit, stdout

    with Embedder(bundle, backend=backend, onnxruntime_path=onnxruntime) as embedder:
        a, b = embedder.encode([first, second])
        facts: dict[str, Any] = {"similarity": float(a @ b)}
        if max_false_hit_rate is not None:
            facts["domain"] = domain
            facts["max_false_hit_rate"] = max_false_hit_rate
            facts["threshold"] = embedder.threshold(domain, max_false_hit_rate)
            facts["hit"] = facts["similarity"] >= facts["threshold"]

    def render() -> None:
        line = f"{facts['similarity']:.4f}"
        if "hit" in facts:
            line += f"  {'hit' if facts['hit'] else 'miss'} at threshold {facts['threshold']:.4f}"
        stdout.print(line, highlight=False)

    emit(facts, as_json=as_json, render=render)


def detect(
    bundle: BundleArgument,
    detector: Annotated[Path, typer.Argument(help="What `cachelora fit-detector` wrote for the bundle.")],
    texts: Annotated[list[str] | None, typer.Argument(help="Questions; without any, one per line of stdin.")] = None,
    backend: BackendOption = "auto",
    onnxruntime: RuntimeOption = None,
) -> None:
    """Tell the domains of questions: one JSON object a line; domain is null where none is clear."""
    from cachelora import Embedder
    from cachelora.detector import DomainDetector
    from cachelora.errors import DetectorError

    sentences = texts or [line.rstrip("\n") for line in sys.stdin if line.strip()]
    found = DomainDetector.open(detector)
    with Embedder(bundle, backend=backend, onnxruntime_path=onnxruntime) as embedder:
        if embedder.fingerprint != found.fingerprint:
            raise DetectorError(
                f"{detector}: was fitted to the bundle {found.fingerprint}, {bundle} is {embedder.fingerprint}; "
                "run `cachelora fit-detector` for it"
            )
        for text, one in zip(sentences, found.detect(embedder.encode(sentences)) if sentences else [], strict=True):
            row = {"text": text, "domain": one.domain, "likeliest": one.likeliest, "confidence": one.confidence}
            print(json.dumps(row, ensure_ascii=False))


def doctor(
    bundle: Annotated[Path | None, typer.Argument(help="A bundle to verify and try.")] = None,
    backend: BackendOption = "auto",
    onnxruntime: RuntimeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what is installed and which ONNX Runtime is found, and verify and try a bundle.

    A missing ONNX Runtime is a fault only where it is asked for, or where the bundle needs it.
    """
    from cachelora import Embedder, __version__
    from cachelora.application import installed_commands
    from cachelora.errors import CacheloraError
    from cachelora.runtime import find_onnxruntime, verify_bundle
    from cachelora.terminal import emit, stdout

    facts: dict[str, Any] = {
        "cachelora": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "distributions": {name: _installed(name) for name in DISTRIBUTIONS},
        "commands": sorted(installed_commands()),
        "healthy": True,
    }
    try:
        library = find_onnxruntime(onnxruntime)
        facts["onnxruntime"] = {
            "path": str(library.path),
            "source": library.source,
            "version": library.version,
            "tried": library.tried.splitlines(),
        }
    except CacheloraError as error:
        facts["onnxruntime"] = None
        facts["onnxruntime_problem"] = str(error)
        if onnxruntime is not None or backend == "onnxruntime":
            facts["healthy"] = False
            facts["problem"] = str(error)
    try:
        if bundle is not None:
            verify_bundle(bundle)
            with Embedder(bundle, backend=backend, onnxruntime_path=onnxruntime) as embedder:
                encoded = embedder.encode_with_info(["Is this bundle in good health?"])
                facts["bundle"] = {
                    "path": str(bundle),
                    "fingerprint": embedder.fingerprint,
                    "backend": embedder.backend,
                    "kernel": embedder.kernel,
                    "dimension": embedder.dimension,
                    "max_tokens": embedder.max_tokens,
                    "probe_tokens": int(encoded.tokens[0]),
                }
    except CacheloraError as error:
        facts["healthy"] = False
        facts["problem"] = str(error)

    def render() -> None:
        stdout.print(f"cachelora    {facts['cachelora']} on Python {facts['python']}, {facts['platform']}")
        for name, found in facts["distributions"].items():
            stdout.print(f"  {name:24} {found or 'not installed'}")
        if used := facts["onnxruntime"]:
            stdout.print(f"ONNX Runtime {used['version']} from the {used['source']}: {used['path']}")
            stdout.print("  tried, in this order:")
            for line in used["tried"]:
                stdout.print(f"  {line}", markup=False)
        else:
            stdout.print(f"ONNX Runtime {facts['onnxruntime_problem']}", markup=False)
            stdout.print("  bundles with int8 weights do without", highlight=False)
        if "bundle" in facts:
            for key, value in facts["bundle"].items():
                if value is not None:
                    stdout.print(f"bundle       {key}: {value}", markup=False)
        if "problem" in facts:
            stdout.print(f"problem      {facts['problem']}", markup=False)

    emit(facts, as_json=as_json, render=render)
    if not facts["healthy"]:
        raise typer.Exit(1)


DISTRIBUTIONS = (
    "numpy",
    "onnxruntime",
    "cachelora-training",
    "cachelora-export",
    "cachelora-benchmarks",
    "torch",
    "sentence-transformers",
    "peft",
)


def _installed(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
