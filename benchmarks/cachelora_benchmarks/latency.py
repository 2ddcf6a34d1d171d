"""Latency of one text, side by side in one run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from cachelora._native import multiply_adds_per_second
from cachelora.errors import UsageError
from cachelora.terminal import note, progress
from cachelora_training.bases import resolve_base
from numpy.typing import ArrayLike
from tokenizers import Tokenizer

from cachelora_benchmarks.engines import (
    Engine,
    native_engine,
    onnxruntime_engine,
    onnxruntime_int8_graph,
    openvino_engine,
    sentence_transformers_engine,
    write_unpooled,
)
from cachelora_benchmarks.machine import describe_machine, pinned_to_one_core
from cachelora_benchmarks.peers import LEAST_COSINE, Peer, PeerError, lowest_cosine
from cachelora_benchmarks.timing import Clock, Timer, in_this_process

__all__ = ["LIMIT", "measure_latency", "multiply_adds", "spread", "summarise", "text_of_tokens"]

LIMIT = "limit"
WARM_UP = 5
# Each engine runs this many texts in a row before the next has its turn, as often as there are rounds.
# Short turns spread whatever else the machine does over all engines.
RUNS_PER_TURN = 5

# With capitals, marks and words that are no whole tokens: peers bring tokenizers of their own.
ORDINARY = "Why does Dr. O'Neill's e-mail say that the re-encryption of 1,024 naïve keys isn't finished?"
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


def multiply_adds(architecture: Mapping[str, Any], tokens: int) -> int:
    """Return the multiply-adds of the matrix products of a BERT encoder for one text; attention's own are left out."""
    hidden, wide = architecture["hidden_size"], architecture["intermediate_size"]
    return int(architecture["layers"] * tokens * (4 * hidden * hidden + 2 * hidden * wide))


def measure_latency(
    bundle: Path,
    tokens: Sequence[int],
    *,
    rounds: int,
    base_model: str | None,
    through_onnxruntime: bool = False,
    clock: Clock = "wall",
    peers: Mapping[str, Path] | None = None,
) -> dict[str, Any]:
    """Time one text of each length through every engine; return medians, spread and ratios.

    Text in, vector out: tokenisation is part of it. One thread each, all on one core, interleaved turns. ``limit`` is
    the time that the matrix products' multiply-adds alone take at the highest rate that the same kernel reaches in
    the same turn, on operands in the first-level cache.

    Args:
        bundle: What to measure.
        tokens: Lengths in tokens, special tokens included.
        rounds: How many turns each engine has per length.
        base_model: What sentence-transformers loads; None takes the bundle's base model.
        through_onnxruntime: Also time ours with ONNX Runtime as its backend.
        clock: ``wall``, or ``cpu``: the processor time of this process with all its threads. On a core of one's own
            both are equal; where others use the core too, only the latter leaves out the time that was theirs.
        peers: Programs that are timed too, by name. One that does not open the model, or whose vectors of the timed
            texts differ from the reference's, is left out of ``latency``; ``peers`` in the result says why. There
            ``cosine_ordinary`` is that of a text with capitals, marks and an accent, which excludes nobody.

    Raises:
        PeerError: a peer failed while it was timed.
    """
    manifest = json.loads((bundle / "cachelora.json").read_text(encoding="utf-8"))
    max_tokens = manifest["max_tokens"]
    too_long = [count for count in tokens if count > max_tokens]
    if too_long:
        raise UsageError(f"tokens {too_long}: this bundle reads at most {max_tokens}")
    architecture, files = manifest["architecture"], (bundle / "model.onnx", bundle / "tokenizer.json")
    tokenizer = Tokenizer.from_file(str(files[1]))
    facts: dict[str, Any] = {
        "machine": describe_machine(),
        "bundle": {
            "fingerprint": manifest["fingerprint"],
            "base_model": manifest["base_model"]["id"],
            "architecture": architecture,
        },
        "unit": "milliseconds",
        "clock": clock,
        "runs": rounds * RUNS_PER_TURN,
        "latency": {},
    }
    base_model = base_model or manifest["base_model"]["id"]
    with pinned_to_one_core() as core, TemporaryDirectory() as directory, ExitStack() as running:
        facts["core"] = core
        note("letting ONNX Runtime optimise and quantise the graph")
        int8, facts["onnxruntime_int8_fused_operators"] = onnxruntime_int8_graph(
            files[0], Path(directory), heads=architecture["heads"], hidden_size=architecture["hidden_size"]
        )
        references: dict[str, Engine] = {
            "base": sentence_transformers_engine(base_model, max_tokens),
            "bundle": onnxruntime_engine(*files, max_tokens),
        }
        engines: list[tuple[str, Timer]] = [
            ("sentence-transformers (PyTorch)", in_this_process(references["base"], clock)),
            ("onnxruntime (Python)", in_this_process(references["bundle"], clock)),
            ("onnxruntime int8 (Python)", in_this_process(onnxruntime_engine(int8, files[1], max_tokens), clock)),
        ]
        texts = {count: text_of_tokens(tokenizer, count) for count in tokens}
        candidates: dict[str, dict[str, Any]] = {}

        def compare(peer: str, about: dict[str, Any], encode: Engine, times: Timer) -> None:
            reference = references[about["reads"]]
            cosine = lowest_cosine(encode, reference, list(texts.values()))
            ordinary = lowest_cosine(encode, reference, [ORDINARY])
            candidates[peer] = about | {"cosine": round(cosine, 7), "cosine_ordinary": round(ordinary, 7)}
            if cosine >= LEAST_COSINE:
                engines.append((peer, times))
            else:
                candidates[peer]["left_out"] = (
                    f"its vectors differ: cosine {cosine:.6f}, at least {LEAST_COSINE} needed"
                )

        if find_spec("openvino") is not None:
            encode = openvino_engine(*files, max_tokens)
            about = {"version": version("openvino"), "reads": "bundle"}
            compare("openvino (Python)", about, encode, in_this_process(encode, clock))
        peers = peers or {}
        if peers:
            unpooled, base = Path(directory) / "unpooled", resolve_base(base_model).path
            unpooled.mkdir()
            write_unpooled(bundle, unpooled, max_tokens)
        for peer, program in peers.items():
            try:
                opened = running.enter_context(
                    Peer(peer, program, bundle=bundle, unpooled=unpooled, base=base, max_tokens=max_tokens)
                )
                about = {"version": opened.version, "reads": opened.reads}
                compare(peer, about, opened.encode, opened.timer(clock))
            except PeerError as error:
                candidates[peer] = {"left_out": str(error)}
        facts["peers"] = candidates
        for peer, about in candidates.items():
            if "left_out" in about:
                note(f"{peer} is left out: {about['left_out']}")
        name, encode, kernel = native_engine(bundle)
        if through_onnxruntime and kernel is not None:
            through, other, _ = native_engine(bundle, "onnxruntime")
            engines.append((through, in_this_process(other, clock)))
        engines.append((name, in_this_process(encode, clock)))
        facts["kernel"] = kernel
        note(f"timing {', '.join(name for name, _ in engines)} on core {core}")
        with progress() as display:
            task = display.add_task("latency", total=len(tokens) * rounds)
            for count, text in texts.items():
                work = multiply_adds(architecture, count)
                times = _interleaved(engines, text, rounds, kernel, work, lambda: display.advance(task))
                facts["latency"][str(count)] = found = summarise(times)
                found[name]["per_token"] = round(found[name]["median"] / count, 5)
    return facts


def _interleaved(
    engines: Sequence[tuple[str, Timer]],
    text: str,
    rounds: int,
    kernel: str | None,
    work: int,
    advance: Callable[[], None],
) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name, _ in engines}
    for _, timer in engines:
        timer(text, WARM_UP)
    for turn in range(rounds):
        # Who goes first changes, so that no engine always inherits the same one's caches.
        shift = turn % len(engines)
        for name, timer in [*engines[shift:], *engines[:shift]]:
            times[name].extend(found / 1e6 for found in timer(text, RUNS_PER_TURN))
        if kernel is not None:
            limit = work / multiply_adds_per_second(kernel) * 1e3
            times.setdefault(LIMIT, []).extend([limit] * RUNS_PER_TURN)
        advance()
    return times


def summarise(times: dict[str, list[float]]) -> dict[str, Any]:
    """Return median and spread of each engine's times, how many times ours it needs, and how many times it ours.

    Args:
        times: Milliseconds of each run in order, by engine; ours is the last one called cachelora.
    """
    ours = [name for name in times if name.startswith("cachelora")][-1]
    summary: dict[str, Any] = {}
    for name, values in times.items():
        # A ratio within each round compares moments in which the machine was equally busy.
        own, other = (np.median(np.reshape(times[key], (-1, RUNS_PER_TURN)), axis=1) for key in (ours, name))
        summary[name] = spread(values, 4) | {"times_ours": spread(other / own, 3), "ours_times": spread(own / other, 3)}
    return summary


def spread(values: ArrayLike, digits: int) -> dict[str, float]:
    """Return the median, the 5th and the 95th percentile."""
    p5, median, p95 = np.percentile(np.asarray(values, dtype=np.float64), [5, 50, 95])
    return {
        "median": round(float(median), digits),
        "p5": round(float(p5), digits),
        "p95": round(float(p95), digits),
    }
