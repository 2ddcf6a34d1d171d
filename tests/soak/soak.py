"""Embeds the same texts round and round from Python, on several threads; see README.md.

python soak.py BUNDLE SECONDS [leak|flip]
"""

from __future__ import annotations

import re
import sys
import threading
import time
from pathlib import Path

import numpy as np
from cachelora import Embedder
from cachelora.errors import NotCalibratedError

TEXTS = 32
THREADS = 2  # no more than there are cores: see README.md
LOST = 64 * 1024  # bytes a round, where a leak was asked for

WORDS = "how can i reset my password card refund law court doctor".split()
LENGTHS = (0, 1, 4, 9, 16, 40, 100, 300)


def make_texts() -> list[str]:
    return [" ".join(WORDS[(5 * i + j) % len(WORDS)] for j in range(LENGTHS[i % len(LENGTHS)])) for i in range(TEXTS)]


def resident() -> int:
    """Return this process's resident memory in KiB."""
    found = re.search(r"^VmRSS:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError("/proc/self/status names no VmRSS")
    return int(found[1])


class Soak:
    def __init__(self, bundle: Path, fault: str) -> None:
        self.embedder = Embedder(bundle)
        self.texts = make_texts()
        self.alone = np.stack([self.embedder.encode(text) for text in self.texts])
        self.together = self.embedder.encode(self.texts, batch_size=TEXTS, show_progress_bar=False)
        self.leak = fault == "leak"
        if fault == "flip":
            self.alone.view(np.uint32)[5, 0] ^= 1
        self.stop = threading.Event()
        self.failures: list[str] = []
        # By thread: calls and vectors.
        self.counts = np.zeros((THREADS, 2), dtype=np.int64)

    def repeat(self, number: int) -> None:
        """Embed all texts until told to stop, and compare each vector with its first."""
        kept = []
        try:
            while not self.stop.is_set():
                self.refuse(number)
                self.one_by_one(number)
                self.batch(number)
                if self.leak:
                    kept.append(b"\1" * LOST)
        except Exception as error:
            self.failures.append(f"{type(error).__name__}: {error}")
        finally:
            self.stop.set()

    def refuse(self, number: int) -> None:
        # A failure has a message of its own, which must be freed too.
        try:
            self.embedder.threshold("none", 0.5)
        except NotCalibratedError:
            self.counts[number] += (1, 0)
        else:
            raise AssertionError("a threshold of a domain that is none")

    def one_by_one(self, number: int) -> None:
        for i, text in enumerate(self.texts):
            if self.stop.is_set():
                break
            vector = self.embedder.encode(text)
            self.counts[number] += (1, 1)
            if not np.array_equal(vector.view(np.uint32), self.alone[i].view(np.uint32)):
                raise AssertionError(f"text {i}: its vector differs from its first")

    def batch(self, number: int) -> None:
        vectors = self.embedder.encode(self.texts, batch_size=TEXTS, show_progress_bar=False)
        self.counts[number] += (1, TEXTS)
        if not np.array_equal(vectors.view(np.uint32), self.together.view(np.uint32)):
            raise AssertionError("a batch's vectors differ from its first")

    def watch(self, seconds: float) -> tuple[int, int, int]:
        """Return what was resident, in KiB: at the end of the warm-up, at most after it, and last."""
        level = most = end = 0
        start, warm, interval = time.monotonic(), seconds / 10, min(1, seconds / 30)
        while not self.stop.is_set() and time.monotonic() - start < seconds:
            time.sleep(interval)
            end = resident()
            elapsed = time.monotonic() - start
            if elapsed > warm and level:
                most = max(most, end)
            elif elapsed > warm / 2:
                # The second half of the warm-up: what opening needed for a moment is no measure.
                level = max(level, end)
        return level, most, end


def main() -> int:
    arguments = sys.argv[1:]
    fault = arguments[2] if len(arguments) == 3 else ""
    if len(arguments) not in (2, 3) or fault not in ("", "leak", "flip") or not float(arguments[1]) > 0:
        print(f"usage: {sys.argv[0]} BUNDLE SECONDS [leak|flip]", file=sys.stderr)
        return 2
    soak = Soak(Path(arguments[0]), fault)
    threads = [threading.Thread(target=soak.repeat, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    level, most, end = soak.watch(float(arguments[1]))
    soak.stop.set()
    for thread in threads:
        thread.join()
    bound = max(level // 100, 256)
    calls, vectors = soak.counts.sum(axis=0)
    print(
        f"soak-py: {calls} calls, {vectors} vectors; resident {level} KiB after warm-up, {end} at the end, "
        f"growth at most {most - level:+d} ({bound} allowed)",
        flush=True,
    )
    if most > level + bound:
        soak.failures.append(f"resident memory grew by {most - level} KiB; at most {bound} were expected")
    for failure in soak.failures:
        print(f"soak-py: {failure}", file=sys.stderr)
    return bool(soak.failures)


if __name__ == "__main__":
    sys.exit(main())
