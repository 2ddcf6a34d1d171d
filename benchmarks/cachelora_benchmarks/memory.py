"""From opening a bundle to its first vector, and the memory that stays, each time in a fresh process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cachelora import _native
from cachelora.embedder import Backend
from cachelora.errors import InferenceError, UsageError
from cachelora.runtime import site_packages_with_onnxruntime
from cachelora.terminal import note, progress

from cachelora_benchmarks.latency import spread
from cachelora_benchmarks.machine import describe_machine

__all__ = ["measure_memory", "stripped_size"]

# The extension alone in a bare interpreter: no numpy, whose memory is not ours.
PROGRAM = """
import json, sys, time
from importlib.util import module_from_spec, spec_from_file_location

def resident():
    with open("/proc/self/status") as lines:
        found = dict(line.split(":", 1) for line in lines)
    return {key: int(found[name].split()[0]) / 1024
            for key, name in (("all", "VmRSS"), ("own", "RssAnon"), ("files", "RssFile"), ("peak", "VmHWM"))}

extension, bundle, backend, site_packages = json.loads(sys.argv[1])
bare = resident()
spec = spec_from_file_location("cachelora._native", extension)
native = module_from_spec(spec)
spec.loader.exec_module(native)
start, used = time.perf_counter(), time.process_time()
embedder = native.NativeEmbedder(bundle, reject_too_long=False, threads=1, backend=backend, onnxruntime_path=None,
                                 site_packages=site_packages)
opened = time.perf_counter()
embedder.encode(["how long does a cold last"])
first, used = time.perf_counter(), time.process_time() - used
after_first = resident()
embedder.encode(["how long does a cold last " * 200])
print(json.dumps({
    "open_ms": (opened - start) * 1e3, "first_vector_ms": (first - start) * 1e3, "backend": embedder.backend,
    "processor_ms": used * 1e3, "bare_mib": bare, "after_first_mib": after_first, "after_longest_mib": resident(),
}))
"""


def measure_memory(
    bundle: Path, *, rounds: int, backend: Backend = "auto", library: Path | None = None
) -> dict[str, Any]:
    """Measure milliseconds to the first vector, resident memory, and the size of the library.

    Cold means that the system was asked to forget the bundle's files; it obeys for pages that nobody has mapped.

    Args:
        bundle: What to measure.
        rounds: How many fresh processes, for each of cold and cached.
        backend: As for :class:`cachelora.Embedder`.
        library: A libcachelora whose stripped size is also told.

    Raises:
        UsageError: this system does not say how much memory a process has.
    """
    if not Path("/proc/self/status").is_file():
        raise UsageError("bench memory reads /proc/self/status, which this system does not have")
    extension = Path(str(_native.__file__))
    call = [str(extension), str(bundle), backend, [str(path) for path in site_packages_with_onnxruntime()]]
    found: dict[str, list[dict[str, Any]]] = {"cold": [], "cached": []}
    note(f"opening {bundle} in {2 * rounds} fresh processes")
    with progress() as display:
        task = display.add_task("memory", total=2 * rounds)
        for _ in range(rounds):
            for state, runs in found.items():
                if state == "cold":
                    _forget(bundle)
                runs.append(_fresh_process(call))
                display.advance(task)
    last = found["cached"][-1]
    return {
        "machine": describe_machine(),
        "bundle": {
            "name": bundle.resolve().name,
            "bytes": {file.name: file.stat().st_size for file in sorted(bundle.iterdir())},
        },
        "backend": last["backend"],
        "rounds": rounds,
        "first_vector_ms": {
            state: spread([run["first_vector_ms"] for run in runs], 2) for state, runs in found.items()
        },
        "open_ms": {state: spread([run["open_ms"] for run in runs], 2) for state, runs in found.items()},
        # Of all threads: the tokenizer, the hash and the weights are read side by side.
        "first_vector_processor_ms": {
            state: spread([run["processor_ms"] for run in runs], 2) for state, runs in found.items()
        },
        "resident_mib": {
            key: {kind: round(value, 2) for kind, value in last[f"{key}_mib"].items()}
            for key in ("bare", "after_first", "after_longest")
        },
        "stripped_bytes": {file.name: stripped_size(file) for file in (extension, library) if file is not None},
    }


def _fresh_process(call: list[Any]) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-S", "-c", PROGRAM, json.dumps(call)], capture_output=True, text=True)
    if done.returncode != 0:
        raise InferenceError(f"a fresh process could not open the bundle: {done.stderr.strip().splitlines()[-1]}")
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def _forget(bundle: Path) -> None:
    for file in bundle.iterdir():
        with file.open("rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def stripped_size(library: Path) -> int | None:
    """Return the bytes of a library without symbols; None where no ``strip`` is installed."""
    strip = shutil.which("strip")
    if strip is None:
        return None
    with TemporaryDirectory() as directory:
        target = Path(directory) / library.name
        subprocess.run([strip, "-o", str(target), str(library)], check=True, capture_output=True)
        return target.stat().st_size
