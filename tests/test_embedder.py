"""The Python binding against golden vectors from PyTorch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from cachelora import Embedder, errors
from hypothesis import given, settings
from hypothesis import strategies as st


def test_vectors_are_pytorchs(tiny):
    with Embedder(tiny.bundle) as embedder:
        vectors = np.stack([embedder.encode(text) for text in tiny.texts])
    assert len(tiny.texts) >= 200
    assert vectors.dtype == np.float32
    assert np.einsum("ij,ij->i", vectors, tiny.vectors).min() >= 0.99999
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-5


def test_a_vector_alone_is_its_vector_in_a_batch(tiny):
    with Embedder(tiny.bundle) as one, Embedder(tiny.bundle, threads=3) as three:
        alone = np.stack([one.encode(text) for text in tiny.texts])
        for together in (
            one.encode(tiny.texts),
            three.encode(tiny.texts),
            one.encode(tiny.texts, batch_size=7),
        ):
            assert np.abs(together - alone).max() <= 1e-6


def test_token_counts_and_truncation(tiny):
    with Embedder(tiny.bundle) as embedder:
        encoded = embedder.encode_with_info(tiny.texts)
        assert embedder.max_tokens == tiny.max_tokens
    assert encoded.tokens.tolist() == tiny.tokens
    assert encoded.truncated.tolist() == [count > tiny.max_tokens for count in tiny.tokens]
    assert encoded.truncated.any()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("piece", ["reset my password, ", "密码", ","])
def test_a_long_text_needs_little_memory(tiny, piece):
    """Eight megabytes are counted to the last token, in the memory of a few of their pieces."""
    program = f"""
import re
from pathlib import Path
from cachelora import Embedder

def most():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

text = {piece!r} * (8_000_000 // len({piece!r}.encode()))
with Embedder({str(tiny.bundle.with_name("bundle-int8"))!r}) as embedder:
    one = embedder.encode_with_info([{piece!r}])
    before = most()
    found = embedder.encode_with_info([text])
    print(most() - before, one.tokens[0], found.tokens[0], found.truncated[0])
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    special = 2
    each = int(said[1]) - special
    assert int(said[2]) == each * (8_000_000 // len(piece.encode())) + special
    assert said[3] == "True"
    # The text itself twice, and what a piece needs.
    assert float(said[0]) < 48


def test_shapes(tiny):
    with Embedder(tiny.bundle) as embedder:
        assert embedder.encode("one text").shape == (embedder.dimension,)
        assert embedder.encode(["one text"]).shape == (1, embedder.dimension)
        assert embedder.encode([]).shape == (0, embedder.dimension)
        a = embedder.encode(["card refund", "password reset"])
        assert np.allclose(embedder.similarity(a, a).diagonal(), 1, atol=1e-6)
        vector = embedder.encode("writable")
        vector[0] = 0


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=200))
def test_every_text_has_a_unit_vector(tiny, text):
    embedder = SHARED.setdefault("embedder", Embedder(tiny.bundle))
    try:
        text.encode()
    except UnicodeEncodeError:
        with pytest.raises(UnicodeEncodeError):
            embedder.encode(text)
        return
    vector = embedder.encode(text)
    assert abs(np.linalg.norm(vector) - 1) < 1e-5
    assert np.array_equal(vector, embedder.encode(text))


SHARED: dict[str, Embedder] = {}


def test_many_threads_get_the_same_bits(tiny):
    texts = tiny.texts[:40]
    with Embedder(tiny.bundle) as embedder, ThreadPoolExecutor(8) as pool:
        first = [embedder.encode(text) for text in texts]
        for vectors in pool.map(lambda _: [embedder.encode(text) for text in texts], range(16)):
            assert all(np.array_equal(a, b) for a, b in zip(vectors, first, strict=True))


def test_threshold(tiny):
    with Embedder(tiny.bundle) as embedder:
        assert embedder.threshold("all", 0.05) == 0.875
        with pytest.raises(errors.NotCalibratedError, match=r"calibrated budgets: 0\.05") as caught:
            embedder.threshold("all", 0.01)
        assert isinstance(caught.value, LookupError)
        with pytest.raises(errors.NotCalibratedError, match="all, law"):
            embedder.threshold("sports", 0.05)


def test_too_long_can_be_rejected(tiny):
    with Embedder(tiny.bundle, on_too_long="reject") as embedder:
        with pytest.raises(errors.InputTooLongError, match="text 1 has 202 tokens"):
            embedder.encode(["short", "password " * 200])
        assert embedder.encode("short").shape == (embedder.dimension,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sentences": "a", "normalize_embeddings": False}, "normalised"),
        ({"sentences": "a", "convert_to_numpy": False}, "numpy"),
        ({"sentences": ["a", 3]}, "text 1 is a int"),
        ({"sentences": "a", "batch_size": 0}, "batch_size"),
    ],
)
def test_arguments_that_can_not_be_used(tiny, arguments, message):
    with (
        Embedder(tiny.bundle) as embedder,
        pytest.raises(errors.UsageError, match=message) as caught,
    ):
        embedder.encode(**arguments)
    assert isinstance(caught.value, ValueError)


def test_a_closed_embedder_says_so(tiny):
    embedder = Embedder(tiny.bundle)
    embedder.close()
    embedder.close()
    with pytest.raises(errors.UsageError, match="closed"):
        embedder.encode("a")
    assert "closed" in repr(embedder)


@pytest.fixture
def copy(tiny, tmp_path) -> Path:
    return Path(shutil.copytree(tiny.bundle, tmp_path / "bundle"))


def edit_manifest(bundle: Path, **changes: object) -> None:
    path = bundle / "cachelora.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_missing_bundle(tmp_path):
    with pytest.raises(errors.BundleNotFoundError, match="nowhere") as caught:
        Embedder(tmp_path / "nowhere")
    assert isinstance(caught.value, FileNotFoundError)


def test_a_changed_file(copy):
    with (copy / "model.onnx").open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)
        file.seek(1000)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(errors.BundleCorruptError, match=r"model\.onnx: sha256"):
        Embedder(copy)


def test_a_newer_schema(copy):
    edit_manifest(copy, schema_version="2.0")
    with pytest.raises(errors.SchemaUnsupportedError, match=r"schema_version is 2\.0"):
        Embedder(copy)


def test_a_changed_configuration(copy):
    edit_manifest(copy, pooling="cls")
    with pytest.raises(errors.BundleCorruptError, match="fingerprint"):
        Embedder(copy)


def open_elsewhere(bundle: Path, runtime: Path) -> str:
    """Open a bundle with an explicit library in a process of its own, as one process can load only one."""
    program = (
        "import sys\nfrom cachelora import Embedder, CacheloraError\n"
        "try: Embedder(sys.argv[1], onnxruntime_path=sys.argv[2])\n"
        "except CacheloraError as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, bundle, runtime],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def test_a_runtime_that_is_missing(tiny, tmp_path):
    said = open_elsewhere(tiny.bundle, tmp_path / "libonnxruntime.so")
    assert said.startswith("RuntimeNotFoundError")
    assert str(tmp_path / "libonnxruntime.so") in said


def test_a_runtime_that_is_none(tiny, tmp_path):
    library = tmp_path / "libonnxruntime.so"
    library.write_text("not a library")
    said = open_elsewhere(tiny.bundle, library)
    assert said.startswith("RuntimeInvalidError")
    assert str(library) in said
