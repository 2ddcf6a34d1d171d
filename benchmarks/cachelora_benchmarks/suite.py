"""All benchmarks of one bundle, each in turn, kept as one JSON file each."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cachelora.directories import check_output, write_text_atomically
from cachelora.terminal import note

from cachelora_benchmarks.machine import describe_machine

__all__ = ["ABOUT", "BENCHMARKS", "MACHINE", "Outcome", "measure_all", "read_facts"]

# In the order in which they run and are shown.
BENCHMARKS = ("latency", "throughput", "memory", "margin", "training")
MACHINE, ABOUT = "machine.json", "bundle.json"


@dataclass
class Outcome:
    """What was written, and what failed with which message, both by the benchmark's name."""

    files: dict[str, Path] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def measure_all(bundle: Path, output: Path, arguments: Mapping[str, Sequence[str]], *, force: bool = False) -> Outcome:
    """Run benchmarks in turn; write ``machine.json``, ``bundle.json`` and ``NAME.json`` of each that succeeds.

    Each runs as ``cachelora bench NAME --json`` in a fresh process: none inherits the threads, the memory or the
    core of the one before, and one that is killed takes no other with it. Each file appears complete or not at all,
    as soon as it is measured.

    Args:
        bundle: What to measure.
        output: The directory. What is in it of an earlier run is removed first, so that it never mixes two.
        arguments: What follows the name on the command line, by benchmark, in the order in which they run.
        force: Write into a directory that is not empty.

    Raises:
        OutputExistsError: ``output`` is not empty and ``force`` is false, or it is a file.
    """
    check_output(output, force=force)
    manifest = json.loads((bundle / "cachelora.json").read_text(encoding="utf-8"))
    for name in (*BENCHMARKS, Path(MACHINE).stem, Path(ABOUT).stem):
        (output / f"{name}.json").unlink(missing_ok=True)
    _write(output / MACHINE, describe_machine())
    adapter = manifest["adapter"]
    about = {
        "base_model": manifest["base_model"]["id"],
        "adapter": adapter["id"] if adapter else None,
        "fingerprint": manifest["fingerprint"],
        "architecture": manifest["architecture"],
    }
    _write(output / ABOUT, about)
    outcome = Outcome()
    for number, (name, given) in enumerate(arguments.items(), 1):
        note(f"{number} of {len(arguments)}: {name}")
        try:
            facts = _run(name, given)
        except RuntimeError as error:
            outcome.failed[name] = str(error)
            note(f"{name} failed: {error}")
            continue
        outcome.files[name] = output / f"{name}.json"
        _write(outcome.files[name], facts)
    return outcome


def read_facts(path: Path) -> dict[str, Any]:
    """Return the JSON object that a file holds."""
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return facts


def _run(name: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Run one benchmark and return its facts; RuntimeError with its last words where it failed.

    What it says of its progress goes on to this process's stderr, line by line.
    """
    call = [sys.executable, "-m", "cachelora", "bench", name, *arguments, "--json"]
    last = ""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as printed,
        subprocess.Popen(call, stdout=printed, stderr=subprocess.PIPE, text=True, errors="replace") as process,
    ):
        for line in process.stderr or ():
            sys.stderr.write(line)
            last = line.strip() or last
        if process.wait() != 0:
            raise RuntimeError(last.removeprefix("error: ") or f"exit status {process.returncode}")
        printed.seek(0)
        text = printed.read()
    try:
        facts = json.loads(text)
    except json.JSONDecodeError:
        facts = None
    if not isinstance(facts, dict):
        raise RuntimeError(f"it printed no JSON object but {text[:200]!r}")
    return facts


def _write(path: Path, facts: Mapping[str, Any]) -> None:
    write_text_atomically(path, json.dumps(facts, ensure_ascii=False, indent=2) + "\n")
