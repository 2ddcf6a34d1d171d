"""The whole road in one go: train, evaluate, export, embed in three languages, time, and play a cache.

`make demo` builds everything and runs this. What is done already is used again; delete build/demo to start over.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from cachelora import Embedder
from cachelora.errors import CacheloraError
from cachelora.runtime import find_onnxruntime
from cachelora_benchmarks.latency import LIMIT
from cachelora_export import verify_bundle
from cachelora_training.adapters import load_encoder, resolve_adapter
from cachelora_training.calibration import CalibratedThreshold, calibrate_threshold
from cachelora_training.directories import write_text_atomically
from cachelora_training.encoding import encode_function
from cachelora_training.measures import triplet_similarities
from cachelora_training.provenance import describe_data
from cachelora_training.recipe import read_recipe
from cachelora_training.rows import read_triplets
from cachelora_training.tables import comparison_table
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "demo"
ADAPTER = ROOT / "adapters" / "multi-domain"
TRAINED = BUILD / "adapter"
BUNDLE = BUILD / "bundle"
BASE = "builtin:all-MiniLM-L6-v2"
RECIPE = "demo"
DOMAINS = ("medical", "law", "programming", "psychology", "general")
# The share of near misses that the cache may wrongly serve, and how sure that must be. The test triplets' near
# misses were written to fool a cache, most differ in one word; of what users ask, few are as close as that.
BUDGET = 0.25
CONFIDENCE = 0.95

Vectors = NDArray[np.float32]

console = Console(highlight=False, soft_wrap=True)
if not console.is_terminal:
    # A log has no width of its own; the tables need this much.
    console.width = 120


def data(part: str) -> list[str]:
    """Return the project's own files of one part, as paths from the project's root."""
    return [f"training/data/{domain}/{part}.jsonl" for domain in DOMAINS]


def heading(number: int, title: str) -> None:
    console.rule(f"[bold]{number}  {title}", align="left")


def command(*arguments: str) -> None:
    """Show and run one `cachelora` command; the demo does nothing that a user could not type."""
    console.print("$ cachelora " + " ".join(arguments), style="cyan", markup=False)
    subprocess.run([sys.executable, "-m", "cachelora", *arguments], check=True, cwd=ROOT)


def repeated(option: str, values: list[str]) -> list[str]:
    return [part for value in values for part in (option, value)]


def train() -> None:
    heading(2, "Train a LoRA adapter for one domain on the project's own triplets")
    sources = ["training/data/medical/train.jsonl"]
    recipe = read_recipe(RECIPE, {}).model_dump(mode="json")
    done = TRAINED / "cachelora_training.json"
    if done.is_file():
        facts = json.loads(done.read_text(encoding="utf-8"))
        if facts["recipe"] == recipe and facts["data"]["train"] == describe_data(sources, read_triplets(sources)):
            console.print(f"reused: {TRAINED.relative_to(ROOT)}, trained on the same data with the same recipe")
            return
    command(
        "train",
        "--recipe",
        RECIPE,
        *repeated("--train-data", sources),
        "--output",
        str(TRAINED.relative_to(ROOT)),
        "--force",
    )


def evaluate() -> dict[str, Any]:
    heading(3, "Evaluate base, the shipped adapter and the new one on test triplets that nobody trained on")
    results = BUILD / "evaluation.json"
    adapters = [adapter / "adapter_model.safetensors" for adapter in (ADAPTER, TRAINED)]
    fresh = newer(results, *adapters, *(ROOT / source for source in data("test")))
    if not fresh:
        command(
            "evaluate", "--base-model", BASE, "--adapter", str(ADAPTER.relative_to(ROOT)),
            "--adapter", str(TRAINED.relative_to(ROOT)), *repeated("--test-file", data("test")),
            "--output", str(results.relative_to(ROOT)),
        )  # fmt: skip
    facts: dict[str, Any] = json.loads(results.read_text(encoding="utf-8"))
    if fresh:
        console.print(f"reused: {results.relative_to(ROOT)}")
        console.print(comparison_table(facts["base"]["by_domain"], facts["adapter"]["by_domain"]))
    return facts


def export() -> dict[str, Any]:
    heading(4, "Merge, export, prove parity, verify")
    try:
        manifest = verify_bundle(BUNDLE)
        fresh = manifest.adapter is not None and manifest.adapter.sha256 == resolve_adapter(str(ADAPTER)).weights_sha256
    except CacheloraError:
        fresh = False
    if fresh:
        console.print(f"reused: {BUNDLE.relative_to(ROOT)}")
    else:
        command(
            "export", "--base-model", BASE, "--adapter", str(ADAPTER.relative_to(ROOT)),
            "--output", str(BUNDLE.relative_to(ROOT)), "--force",
        )  # fmt: skip
    manifest = verify_bundle(BUNDLE)
    console.print(f"every file has the hash that the manifest records; fingerprint {manifest.fingerprint[:16]}...")
    if not newer(BUNDLE / "calibration.json", *(ROOT / source for source in data("test"))):
        command(
            "calibrate", str(BUNDLE.relative_to(ROOT)), *repeated("--data", data("test")),
            "--budget", str(BUDGET), "--confidence", str(CONFIDENCE),
        )  # fmt: skip
    return {"fingerprint": manifest.fingerprint, "parity": {**manifest.parity, "probe": None}}


def newer(output: Path, *inputs: Path) -> bool:
    """Whether `output` exists and is no older than any of its inputs."""
    return output.is_file() and all(output.stat().st_mtime >= path.stat().st_mtime for path in inputs)


def compare_languages() -> dict[str, Any]:
    heading(5, "The same texts through Python, Go and C")
    texts = [entry[key] for entry in read_questions()["stored"] for key in ("question", "answer")]
    with Embedder(BUNDLE) as embedder:
        # In one batch; the other two programs embed one by one. The fused encoder's bits are the same.
        python, backend = embedder.encode(texts), embedder.backend
    with Embedder(BUNDLE, backend="onnxruntime") as embedder:
        float32 = embedder.encode(texts)
    lines = "\n".join(texts) + "\n"
    vectors = {"Python": python}
    for language, program in (("Go", "embed-go"), ("C", "embed-c")):
        console.print(f"$ build/demo/{program} {BUNDLE.relative_to(ROOT)}", style="cyan", markup=False)
        done = subprocess.run(
            [BUILD / program, BUNDLE],
            input=lines,
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin"},
        )
        if done.returncode != 0:
            raise SystemExit(f"{program} failed: {done.stderr}")
        vectors[language] = np.array([row.split() for row in done.stdout.splitlines()], dtype=np.float32)
    same = {
        language: found.shape == python.shape and found.tobytes() == python.tobytes()
        for language, found in vectors.items()
    }
    torch = load_encoder(BASE, str(ADAPTER)).encode(texts, show_progress_bar=False)
    cosines = np.einsum("ij,ij->i", torch.astype(np.float64), python.astype(np.float64))
    cosines_of_float32 = np.einsum("ij,ij->i", torch.astype(np.float64), float32.astype(np.float64))
    for language in ("Go", "C"):
        console.print(
            f"{language:3} and Python: {'the same bits' if same[language] else 'DIFFERENT'} for {len(texts)} texts"
        )
    console.print(
        f"cosine to PyTorch, adapter not merged: {backend} (int8) at least {cosines.min():.5f}, "
        f"mean {cosines.mean():.5f}; onnxruntime (float32) at least {cosines_of_float32.min():.8f}"
    )
    if not all(same.values()):
        raise SystemExit("the languages disagree; this is a defect")
    return {
        "texts": len(texts),
        "same_bits": same,
        "backend": backend,
        "cosine_to_pytorch_min": float(cosines.min()),
        "cosine_to_pytorch_min_float32": float(cosines_of_float32.min()),
    }


def latency() -> dict[str, Any]:
    heading(6, "Latency of one text, one thread, side by side in one run")
    command_line = ["bench", "latency", str(BUNDLE.relative_to(ROOT)), "--json"]
    console.print("$ cachelora " + " ".join(command_line), style="cyan", markup=False)
    done = subprocess.run(
        [sys.executable, "-m", "cachelora", *command_line],
        check=True,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    facts: dict[str, Any] = json.loads(done.stdout)
    engines = list(next(iter(facts["latency"].values())))
    table = Table("tokens", *(f"{name}, ms" for name in engines))
    for count, found in facts["latency"].items():
        table.add_row(count, *(f"{found[name]['median']:.2f}" for name in engines))
    console.print(table)
    console.print(f"medians of {facts['runs']} runs on {facts['machine']['processor']}")
    return facts


def read_questions() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(__file__).parent / "questions.json").read_text(encoding="utf-8"))
    return found


def base_threshold(encoder: Any) -> CalibratedThreshold:
    """Calibrate the base model by the same rule on the same rows, so that the comparison is fair."""
    rows = read_triplets([str(ROOT / source) for source in data("test")])
    similarities = triplet_similarities(encode_function(encoder), rows)
    found = calibrate_threshold(similarities.positive, similarities.negative, budget=BUDGET, confidence=CONFIDENCE)
    if found is None:
        raise SystemExit("the base model can't be calibrated on these rows")
    return found


def play_cache() -> dict[str, Any]:
    heading(7, "A small cache: may a stored answer be reused?")
    questions = read_questions()
    stored = [entry["question"] for entry in questions["stored"]]
    asked = [entry["question"] for entry in questions["asked"]]
    base = load_encoder(BASE)
    before = base_threshold(base).threshold
    with Embedder(BUNDLE) as embedder:
        after = embedder.threshold("all", BUDGET)
        similarities = embedder.similarity(embedder.encode(asked), embedder.encode(stored))
    base_similarities = base.encode(asked, show_progress_bar=False) @ base.encode(stored, show_progress_bar=False).T
    console.print(
        f"thresholds at which at most {BUDGET:.0%} of near misses are served, with {CONFIDENCE:.0%} confidence: "
        f"base {before:.3f}, adapter {after:.3f}"
    )
    table = Table("new question", "nearest stored question", "cosine", "decision", "right", "base model")
    decisions = []
    for entry, row, base_row in zip(questions["asked"], similarities, base_similarities, strict=True):
        ours, theirs = (
            decide(row, after, entry["same_as"]),
            decide(base_row, before, entry["same_as"]),
        )
        otherwise = ours["hit"] != theirs["hit"] or (ours["hit"] and ours["nearest"] != theirs["nearest"])
        decisions.append(
            {
                "domain": entry["domain"],
                "question": entry["question"],
                "adapter": ours,
                "base": theirs,
            }
        )
        table.add_row(
            entry["question"],
            stored[ours["nearest"]],
            f"{ours['similarity']:.3f}",
            "[green]hit" if ours["hit"] else "miss",
            "yes" if ours["right"] else "[red]no",
            f"{theirs['similarity']:.3f} {'hit' if theirs['hit'] else 'miss'}" + (", otherwise" if otherwise else ""),
        )
    console.print(table)
    right = {name: sum(decision[name]["right"] for decision in decisions) for name in ("adapter", "base")}
    console.print(f"right decisions: adapter {right['adapter']} of {len(decisions)}, base {right['base']}")
    return {
        "thresholds": {"base": before, "adapter": after},
        "right": right,
        "decisions": decisions,
    }


def decide(similarities: Vectors, threshold: float, same_as: int | None) -> dict[str, Any]:
    """Return what a cache with this threshold does, and whether that is right."""
    nearest = int(similarities.argmax())
    hit = bool(similarities[nearest] >= threshold)
    right = nearest == same_as if hit else same_as is None
    return {
        "nearest": nearest,
        "similarity": round(float(similarities[nearest]), 4),
        "hit": hit,
        "right": right,
    }


def main() -> None:
    start = time.monotonic()
    BUILD.mkdir(parents=True, exist_ok=True)
    heading(1, "Set up")
    library = find_onnxruntime()
    console.print(f"built and installed; ONNX Runtime {library.version} from the {library.source}")
    train()
    summary: dict[str, Any] = {"evaluation": evaluate()}
    summary["bundle"] = export()
    summary["languages"] = compare_languages()
    summary["latency"] = latency()
    summary["cache"] = play_cache()
    summary["seconds"] = round(time.monotonic() - start, 1)
    write_text_atomically(BUILD / "summary.json", json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    show_summary(summary)


def show_summary(summary: dict[str, Any]) -> None:
    evaluation = summary["evaluation"]
    base, adapter = (evaluation[key]["by_domain"]["all"] for key in ("base", "adapter"))
    table = Table("what", "base model", "with adapter", title="Summary")
    table.add_row("margin on test triplets", f"{base['margin']:+.4f}", f"{adapter['margin']:+.4f}")
    table.add_row("ROC-AUC on test triplets", f"{base['roc_auc']:.4f}", f"{adapter['roc_auc']:.4f}")
    right = summary["cache"]["right"]
    total = len(summary["cache"]["decisions"])
    table.add_row(
        "right decisions of the small cache",
        f"{right['base']} of {total}",
        f"{right['adapter']} of {total}",
    )
    languages = summary["languages"]
    table.add_row(
        "lowest cosine to PyTorch",
        "",
        f"int8 {languages['cosine_to_pytorch_min']:.5f}, float32 {languages['cosine_to_pytorch_min_float32']:.8f}",
    )
    table.add_row("Python, Go and C", "", "the same bits")
    for count, found in summary["latency"]["latency"].items():
        medians = {name.split(" (")[0]: figures["median"] for name, figures in found.items() if name != LIMIT}
        ours = medians.pop("cachelora")
        others = ", ".join(f"{name} {median:.2f}" for name, median in medians.items())
        table.add_row(f"one text of {count} tokens, ms", others, f"ours {ours:.2f}")
    console.print(table)
    console.print(f"the same facts: {(BUILD / 'summary.json').relative_to(ROOT)} ({summary['seconds']} s)")


if __name__ == "__main__":
    try:
        main()
    except CacheloraError as error:
        raise SystemExit(f"error: {error}") from error
    except subprocess.CalledProcessError as error:
        # The command itself has said what was wrong.
        raise SystemExit(error.returncode) from None
