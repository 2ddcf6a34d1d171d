"""Peers that are no Python packages: each a program that is spoken to by lines, as benchmarks/peers/README.md says."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
from cachelora.errors import CacheloraError, UsageError
from cachelora.runtime import find_onnxruntime
from numpy.typing import NDArray

from cachelora_benchmarks.engines import Engine
from cachelora_benchmarks.timing import Clock, Timer

__all__ = ["LEAST_COSINE", "Peer", "PeerError", "find_peers", "lowest_cosine"]

# Below it a peer computes something else. Float32 in another order of summing stays above 0.99999.
LEAST_COSINE = 0.9999
BUILT = Path(__file__).resolve().parents[2] / "build" / "peers"
# Opening a model reads and rearranges all its weights; one answer is at most a few runs of one text.
SECONDS_TO_OPEN, SECONDS_TO_ANSWER = 120.0, 600.0
# Every thread pool that a peer may bring, by the name that it reads.
POOLS = ("GOMAXPROCS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "RAYON_NUM_THREADS", "RTEN_NUM_THREADS")


class PeerError(CacheloraError):
    """A peer did not do what the protocol says; the message names it, and what it said last."""


def find_peers(given: Sequence[str] = (), directory: Path = BUILT) -> dict[str, Path]:
    """Return the programs in ``directory`` and those ``given`` as NAME=PATH, by name.

    Raises:
        UsageError: one given is not of that form, or is no program.
    """
    built = sorted(directory.iterdir()) if directory.is_dir() else []
    found = {path.name: path for path in built if path.is_file() and os.access(path, os.X_OK)}
    for text in given:
        name, _, path = text.partition("=")
        if not name or not path:
            raise UsageError(f"--peer {text}: NAME=PATH was expected")
        if not (Path(path).is_file() and os.access(path, os.X_OK)):
            raise UsageError(f"--peer {text}: {path} is not a program; `make bench-peers` builds those there are")
        found[name] = Path(path).resolve()
    return found


class Peer:
    """A running program that embeds one text at a time, on one thread.

    It inherits the core that this process is pinned to.

    Attributes:
        version: Of what computes in it.
        reads: ``bundle`` or ``base``: which of the two it opened, and so whose vectors are its own.
    """

    def __init__(
        self,
        name: str,
        program: Path,
        *,
        bundle: Path,
        unpooled: Path,
        base: Path,
        max_tokens: int,
    ) -> None:
        """Start it and wait until its model is open.

        Args:
            name: What messages call it.
            program: The file to run.
            bundle: The bundle's directory.
            unpooled: The directory of :func:`~cachelora_benchmarks.engines.write_unpooled`.
            base: The base model's directory.
            max_tokens: How many tokens of a text are read.

        Raises:
            PeerError: it does not start, dies, says nothing or something else than a greeting.
        """
        self._name = name
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        self._pending = b""
        try:
            self._process = subprocess.Popen(
                [program, bundle.resolve(), unpooled.resolve(), base.resolve(), str(max_tokens)],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                env=_environment(),
            )
        except OSError as error:
            self._said.close()
            raise PeerError(f"peer {name}: {program}: {error.strerror}") from error
        try:
            greeting = self._answer("its greeting", SECONDS_TO_OPEN)
            if not (
                isinstance(greeting, dict)
                and isinstance(greeting.get("version"), str)
                and greeting.get("reads") in ("bundle", "base")
            ):
                raise PeerError(f"peer {name}: it greets with {greeting!r}, not with version and reads")
        except BaseException:
            self.close()
            raise
        self.version: str = greeting["version"]
        self.reads: Literal["bundle", "base"] = greeting["reads"]

    def encode(self, text: str) -> NDArray[np.float32]:
        """Return the vector of a text.

        Raises:
            PeerError: the program died, or answered something else.
        """
        answer = self._ask("vector", text)
        try:
            vector = np.array(answer, dtype=np.float32)
        except (TypeError, ValueError):
            vector = np.empty(0, dtype=np.float32)
        if vector.ndim != 1 or not vector.size:
            raise PeerError(f"peer {self._name}: asked for a vector it answers {_short(answer)}")
        return vector

    def timer(self, clock: Clock) -> Timer:
        """Return what lets the program time itself, so that neither pipes nor JSON count.

        The timer raises PeerError where the program dies or answers something else.
        """

        def times(text: str, runs: int) -> list[int]:
            answer = self._ask(f"{clock} {runs}", text)
            if not isinstance(answer, list) or len(answer) != runs or not all(type(one) is int for one in answer):
                raise PeerError(f"peer {self._name}: asked for {runs} times in nanoseconds it answers {_short(answer)}")
            return answer

        return times

    def close(self) -> None:
        """End the program; it is killed if it does not end by itself."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, request: str, text: str) -> Any:
        if len(text.splitlines()) > 1:
            raise UsageError(f"peer {self._name}: a text of several lines can't be asked for: {text[:80]!r}")
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{request}\t{text}\n".encode())
        except OSError:
            raise self._death() from None
        return self._answer(f"the answer to {request!r}", SECONDS_TO_ANSWER)

    def _answer(self, expected: str, seconds: float) -> Any:
        line = self._line(expected, seconds)
        try:
            return json.loads(line)
        except ValueError:
            raise PeerError(f"peer {self._name}: {expected} is not JSON but {_short(line)}") from None

    def _line(self, expected: str, seconds: float) -> bytes:
        assert self._process.stdout is not None
        until = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._pending:
                if not selector.select(max(0.0, until - time.monotonic())):
                    self._process.kill()
                    raise PeerError(f"peer {self._name}: {expected} did not come within {seconds:.0f} seconds")
                more = self._process.stdout.read(65536)
                if not more:
                    raise self._death()
                self._pending += more
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _death(self) -> PeerError:
        """Return the error for a program that closed its pipe, with the last that it wrote to stderr."""
        try:
            status = f"exit status {self._process.wait(5)}"
        except subprocess.TimeoutExpired:
            status = "its output closed"
        self._said.seek(0)
        said = self._said.read().decode(errors="replace").strip()
        return PeerError(f"peer {self._name}: it ended ({status}): {said[-500:] or 'it said nothing'}")


def _environment() -> dict[str, str]:
    """Return this process's variables with one thread for every pool, and the ONNX Runtime that Python uses here."""
    found = {**os.environ, **dict.fromkeys(POOLS, "1")}
    if "ORT_DYLIB_PATH" not in found:
        # Without one, a peer that needs it says so itself.
        with suppress(CacheloraError):
            found["ORT_DYLIB_PATH"] = str(find_onnxruntime().path)
    return found


def lowest_cosine(encode: Engine, reference: Engine, texts: Sequence[str]) -> float:
    """Return the lowest cosine of two engines' vectors of the same text; -1 where their lengths differ."""
    lowest = 1.0
    for text in texts:
        found, wanted = (np.asarray(engine(text), dtype=np.float64) for engine in (encode, reference))
        if found.shape != wanted.shape:
            return -1.0
        cosine = float(found @ wanted / (np.linalg.norm(found) * np.linalg.norm(wanted)))
        # A vector of zeros, or one that is no number, has no cosine.
        lowest = min(lowest, cosine if np.isfinite(cosine) else -1.0)
    return lowest


def _short(answer: object) -> str:
    text = repr(answer)
    return text if len(text) <= 200 else f"{text[:200]}…"
