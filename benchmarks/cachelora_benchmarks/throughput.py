"""Texts per second of a whole file of questions, by number of threads."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cachelora import Embedder
from cachelora.embedder import Backend
from cachelora.errors import UsageError
from cachelora.terminal import note, progress

from cachelora_benchmarks.latency import spread
from cachelora_benchmarks.machine import describe_machine

__all__ = ["measure_throughput", "read_questions"]

# What a row may call its question.
KEYS = ("query", "anchor", "question", "text")


def read_questions(path: Path, limit: int) -> list[str]:
    """Return the first ``limit`` questions of a file.

    A line is a question, or an object whose key query, anchor, question or text is one.

    Raises:
        UsageError: there is no file, no question in it, or a row without one.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file; one question a line, or JSON Lines, was expected")
    questions: list[str] = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if len(questions) == limit:
                break
            text = line.strip()
            if text.startswith("{"):
                row = json.loads(text)
                found = next((row[key] for key in KEYS if isinstance(row.get(key), str)), None)
                if found is None:
                    raise UsageError(f"{path}:{number}: a key of {', '.join(KEYS)} was expected")
                text = found.strip()
            if text:
                questions.append(text)
    if not questions:
        raise UsageError(f"{path}: has no question")
    return questions


def measure_throughput(
    bundle: Path,
    texts: Sequence[str],
    threads: Sequence[int],
    *,
    rounds: int,
    backend: Backend = "auto",
) -> dict[str, Any]:
    """Embed all ``texts`` in one call with each number of threads in turn; return texts per second with their spread.

    Args:
        bundle: What to measure.
        texts: The texts, in their order.
        threads: Numbers of threads; ratios are to the first, within each round.
        rounds: How many turns each has.
        backend: As for :class:`cachelora.Embedder`.
    """
    embedders = {count: Embedder(bundle, threads=count, backend=backend) for count in threads}
    first = next(iter(embedders.values()))
    # The bundle's, whichever encoder was asked for.
    manifest = json.loads((bundle / "cachelora.json").read_text(encoding="utf-8"))
    tokens = first.encode_with_info(texts[:1024]).tokens
    facts: dict[str, Any] = {
        "machine": describe_machine(),
        "bundle": {"name": bundle.resolve().name, "fingerprint": manifest["fingerprint"]},
        "backend": first.backend,
        "kernel": first.kernel,
        "texts": len(texts),
        "tokens": {"mean": round(float(tokens.mean()), 2), "longest": int(tokens.max())},
        "rounds": rounds,
        "unit": "texts per second",
        "throughput": {},
    }
    note(f"embedding {len(texts)} texts with {', '.join(map(str, threads))} threads")
    rates: dict[int, list[float]] = {count: [] for count in threads}
    processor: dict[int, list[float]] = {count: [] for count in threads}
    with progress() as display:
        task = display.add_task("throughput", total=rounds * len(threads))
        for embedder in embedders.values():
            embedder.encode(texts[:64], show_progress_bar=False)
        for _ in range(rounds):
            for count, embedder in embedders.items():
                start, used = time.perf_counter(), time.process_time()
                embedder.encode(texts, batch_size=len(texts), show_progress_bar=False)
                rates[count].append(len(texts) / (time.perf_counter() - start))
                processor[count].append(time.process_time() - used)
                display.advance(task)
    base = np.asarray(rates[threads[0]])
    for count, values in rates.items():
        facts["throughput"][str(count)] = spread(values, 1) | {
            "times_first": spread(np.asarray(values) / base, 3),
            # Where others use the machine too, this still says what sharing the work costs.
            "processor_seconds": spread(processor[count], 4),
        }
    return facts
