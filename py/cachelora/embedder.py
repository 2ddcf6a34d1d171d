"""A bundle, opened: texts in, unit vectors out. Needs numpy only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from cachelora._native import NativeEmbedder
from cachelora.errors import UsageError
from cachelora.runtime import site_packages_with_onnxruntime

__all__ = ["Backend", "Embedder", "EncodedTexts"]

Vectors = NDArray[np.float32]

Backend = Literal["auto", "fused", "onnxruntime"]


@dataclass(frozen=True)
class EncodedTexts:
    """Vectors and what became of each text.

    Attributes:
        vectors: float32, (texts, dimension), unit rows.
        tokens: int64, (texts,): the true number of tokens of each whole text.
        truncated: bool, (texts,): whether only the first ``max_tokens`` of them were used.
    """

    vectors: Vectors
    tokens: NDArray[np.int64]
    truncated: NDArray[np.bool_]


class Embedder:
    """Turns texts into unit vectors with the model of one bundle.

    One embedder may be used from any number of threads at once; the GIL is released while it works.

    Args:
        path: The bundle: a directory that ``cachelora export`` wrote.
        on_too_long: ``"truncate"`` uses a long text's first tokens and says so in
            :meth:`encode_with_info`; ``"reject"`` raises InputTooLongError.
        threads: How many threads share the work of one call; one text always uses one.
        backend: ``"auto"`` takes the fused encoder where the bundle has its weights, else ONNX Runtime;
            ``"fused"`` and ``"onnxruntime"`` insist.
        onnxruntime_path: The ONNX Runtime library file; None searches for one where it is needed.

    Raises:
        BundleNotFoundError, BundleInvalidError, BundleCorruptError, SchemaUnsupportedError,
        TokenizerError: the bundle can't be used.
        RuntimeNotFoundError, RuntimeInvalidError, RuntimeTooOldError: no ONNX Runtime can be used.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        on_too_long: Literal["truncate", "reject"] = "truncate",
        threads: int = 1,
        backend: Backend = "auto",
        onnxruntime_path: str | PathLike[str] | None = None,
    ) -> None:
        if on_too_long not in ("truncate", "reject"):
            raise UsageError(f"on_too_long is {on_too_long!r}, 'truncate' or 'reject' was expected")
        if threads < 1:
            raise UsageError(f"threads is {threads}, at least 1 was expected")
        self.path = Path(path)
        self._native: NativeEmbedder | None = NativeEmbedder(
            self.path,
            reject_too_long=on_too_long == "reject",
            threads=threads,
            backend=backend,
            onnxruntime_path=None if onnxruntime_path is None else Path(onnxruntime_path),
            site_packages=site_packages_with_onnxruntime(),
        )

    def encode(
        self,
        sentences: str | Sequence[str],
        *,
        batch_size: int = 256,
        show_progress_bar: bool | None = None,
        convert_to_numpy: bool = True,
        normalize_embeddings: bool = True,
    ) -> Vectors:
        """Return the vectors of ``sentences``; the arguments are those of sentence-transformers.

        Args:
            sentences: One text or several.
            batch_size: How many texts cross into the native core at a time; between batches the
                progress moves and Ctrl-C is heard. It does not change a vector.
            show_progress_bar: Show progress on stderr (needs rich); None shows it when there is more
                than one batch and stderr is a terminal.
            convert_to_numpy: Must be True; there are no tensors here.
            normalize_embeddings: Must be True; thresholds are cosines of unit vectors.

        Returns:
            float32, (dimension,) for one text, (texts, dimension) for several; unit length.

        Raises:
            UsageError, InputTooLongError, TokenizerError, InferenceError.
        """
        if not convert_to_numpy or not normalize_embeddings:
            raise UsageError("an Embedder returns normalised numpy arrays only")
        single = isinstance(sentences, str)
        texts = [sentences] if isinstance(sentences, str) else list(sentences)
        vectors = self._encode(texts, batch_size, show_progress_bar).vectors
        return vectors[0] if single else vectors

    def encode_with_info(
        self,
        sentences: Sequence[str],
        *,
        batch_size: int = 256,
        show_progress_bar: bool | None = None,
    ) -> EncodedTexts:
        """As :meth:`encode` for several texts, with true token counts and truncation flags."""
        if isinstance(sentences, str):
            raise UsageError("sentences is one text, a list was expected")
        return self._encode(list(sentences), batch_size, show_progress_bar)

    def _encode(self, texts: list[str], batch_size: int, show_progress_bar: bool | None) -> EncodedTexts:
        native = self._open()
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}, at least 1 was expected")
        for index, text in enumerate(texts):
            if not isinstance(text, str):
                raise UsageError(f"text {index} is a {type(text).__name__}, a str was expected")
        dimension = native.dimension
        vectors = np.empty((len(texts), dimension), dtype=np.float32)
        tokens = np.empty(len(texts), dtype=np.int64)
        truncated = np.empty(len(texts), dtype=np.bool_)
        batches = range(0, len(texts), batch_size)
        for start in _with_progress(batches, show_progress_bar):
            part = slice(start, min(start + batch_size, len(texts)))
            data, tokens[part], truncated[part] = native.encode(texts[part])
            vectors[part] = np.frombuffer(data, dtype=np.float32).reshape(-1, dimension)
        return EncodedTexts(vectors, tokens, truncated)

    def similarity(self, a: Vectors, b: Vectors) -> Vectors:
        """Return the cosines of every row of ``a`` with every row of ``b``: float32, (rows, rows)."""
        product: Vectors = np.atleast_2d(a) @ np.atleast_2d(b).T
        return product

    def threshold(self, domain: str, max_false_hit_rate: float) -> float:
        """Return the similarity from which on an answer cached for ``domain`` may be reused.

        At most the share ``max_false_hit_rate`` of near misses would then wrongly be served, with the
        confidence that ``cachelora calibrate`` was given. ``"all"`` is every domain together.

        Raises:
            NotCalibratedError: this budget was not calibrated; the message lists what was.
        """
        return self._open().threshold(domain, max_false_hit_rate)

    @property
    def dimension(self) -> int:
        """The length of a vector."""
        return self._open().dimension

    @property
    def max_tokens(self) -> int:
        """How many tokens of a text the model reads, special tokens included."""
        return self._open().max_tokens

    @property
    def backend(self) -> str:
        """Which encoder computes the vectors, ``fused`` or ``onnxruntime``."""
        return self._open().backend

    @property
    def kernel(self) -> str | None:
        """Which kernel the fused encoder uses, for instance ``avx512vnni``; None where ONNX Runtime computes."""
        return self._open().kernel

    @property
    def fingerprint(self) -> str:
        """The namespace of this embedder's vectors: those of two fingerprints must never meet.

        The manifest's, unless ``backend="onnxruntime"`` was asked for where the bundle has int8 weights: the two
        encoders' vectors differ, so that one's is the SHA-256 of two lines, the manifest's and ``backend=onnxruntime``.
        """
        return self._open().fingerprint

    @property
    def onnxruntime_path(self) -> Path | None:
        """The ONNX Runtime library in use; None where the fused encoder needs none."""
        used = self._open().onnxruntime
        return None if used is None else used[0]

    def close(self) -> None:
        """Free the model once the calls in flight are done. A closed embedder can't be used."""
        self._native = None

    def _open(self) -> NativeEmbedder:
        if self._native is None:
            raise UsageError(f"the embedder of {self.path} is closed")
        return self._native

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._native is None:
            return f"<Embedder {self.path} (closed)>"
        return f"<Embedder {self.path} {self.backend} {self.dimension}>"


def _with_progress(batches: range, show: bool | None) -> Iterator[int]:
    """Yield the batches' starts and, where asked for, move a progress display."""
    if show is False or (show is None and len(batches) < 2):
        yield from batches
        return
    try:
        from cachelora.terminal import progress
    except ModuleNotFoundError:
        if show:
            raise UsageError('show_progress_bar needs rich: pip install "cachelora[cli]"') from None
        yield from batches
        return
    with progress() as display:
        task = display.add_task("encode", total=len(batches))
        for start in batches:
            yield start
            display.advance(task)
