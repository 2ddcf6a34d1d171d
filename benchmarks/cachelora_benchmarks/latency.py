"""Latency of one text, side by side in one run."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cachelora.errors import UsageError
from cachelora.terminal import note, progress
from tokenizers import Tokenizer

from cachelora_benchmarks.engines import (
    Engine,
    native_engine,
    onnxruntime_engine,
    sentence_transformers_engine,
)
from cachelora_benchmarks.machine import describe_machine, pinned_to_one_core

__all__ = ["measure_latency", "summarise", "text_of_tokens"]

WARM_UP = 5
# Each engine runs this many texts in a row before the next has its turn, as often as there are rounds.
# Short turns spread whatever else the machine does over all engines.
RUNS_PER_TURN = 5

WORDS = (
    "how long does the body need to get over a cold when one can not rest at home and what should people do if it "
    "comes back after two days of work in an open office with many others who are also not well"
)


def text_of_tokens(tokenizer: Tokenizer, count: int) -> str:
    """Return a text of exactly ``count`` tokens, special tokens included.

    Raises:
        UsageError: the count is below the special tokens plus one.
    """
    special = len(tokenizer.encode("").ids)
    single = [word for word in WORDS.split() if len(tokenizer.encode(word, add_special_tokens=False).ids) == 1]
    needed = count - special
    if needed < 1 or not single:
        raise UsageError(f"{count} tokens: at least {special + 1} are needed")
    text = " ".join(single[index % len(single)] for index in range(needed))
    found = len(tokenizer.encode(text).ids)
    if found != count:
        raise UsageError(f"this tokenizer makes {found} tokens of a text that should have {count}")
    return text


def measure_latency(bundle: Path, tokens: Sequence[int], *, rounds: int, base_model: str | None) -> dict[str, Any]:
    """Time one text of each length through every engine; return medians, spread and ratios.

    Text in, vector out: tokenisation is part of it. One thread each, all on one core, interleaved turns.

    Args:
        bundle: What to measure.
        tokens: Lengths in tokens, special tokens included.
        rounds: How many turns each engine has per length.
        base_model: What sentence-transformers loads; None takes the bundle's base model.
    """
    manifest = json.loads((bundle / "cachelora.json").read_text(encoding="utf-8"))
    too_long = [count for count in tokens if count > manifest["max_tokens"]]
    if too_long:
        raise UsageError(f"tokens {too_long}: this bundle reads at most {manifest['max_tokens']}")
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    facts: dict[str, Any] = {
        "machine": describe_machine(),
        "bundle": {
            "fingerprint": manifest["fingerprint"],
            "base_model": manifest["base_model"]["id"],
        },
        "unit": "milliseconds",
        "runs": rounds * RUNS_PER_TURN,
        "latency": {},
    }
    with pinned_to_one_core() as core:
        facts["core"] = core
        engines = [
            sentence_transformers_engine(base_model or manifest["base_model"]["id"]),
            onnxruntime_engine(bundle, manifest["max_tokens"]),
            native_engine(bundle),
        ]
        note(f"timing {', '.join(name for name, _ in engines)} on core {core}")
        with progress() as display:
            task = display.add_task("latency", total=len(tokens) * rounds)
            for count in tokens:
                times = _interleaved(engines, text_of_tokens(tokenizer, count), rounds, lambda: display.advance(task))
                facts["latency"][str(count)] = summarise(times)
    return facts


def _interleaved(engines: Sequence[tuple[str, Engine]], text: str, rounds: int, advance: Any) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name, _ in engines}
    for _, encode in engines:
        for _ in range(WARM_UP):
            encode(text)
    for turn in range(rounds):
        # Who goes first changes, so that no engine always inherits the same one's caches.
        shift = turn % len(engines)
        for name, encode in [*engines[shift:], *engines[:shift]]:
            for _ in range(RUNS_PER_TURN):
                start = time.perf_counter_ns()
                encode(text)
                times[name].append((time.perf_counter_ns() - start) / 1e6)
        advance()
    return times


def summarise(times: dict[str, list[float]]) -> dict[str, Any]:
    """Return median and spread of each engine's times, and how many times ours it needs.

    Args:
        times: Milliseconds of each run in order, by engine; ours is the one called cachelora.
    """
    ours = next(name for name in times if name.startswith("cachelora"))
    summary: dict[str, Any] = {}
    for name, values in times.items():
        p5, median, p95 = np.percentile(values, [5, 50, 95])
        # A ratio within each round compares moments in which the machine was equally busy.
        own, other = (np.median(np.reshape(times[key], (-1, RUNS_PER_TURN)), axis=1) for key in (ours, name))
        low, middle, high = np.percentile(other / own, [5, 50, 95])
        summary[name] = {
            "median": round(float(median), 4),
            "p5": round(float(p5), 4),
            "p95": round(float(p95), 4),
            "times_ours": {
                "median": round(float(middle), 3),
                "p5": round(float(low), 3),
                "p95": round(float(high), 3),
            },
        }
    return summary
