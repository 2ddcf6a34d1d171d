from __future__ import annotations

import pytest
from cachelora_export.manifest import (
    AdapterEntry,
    Architecture,
    BaseEntry,
    FileEntry,
    Manifest,
    fingerprint,
)
from hypothesis import given
from hypothesis import strategies as st

ARCHITECTURE = Architecture(
    model_type="bert",
    layers=2,
    hidden_size=32,
    heads=4,
    intermediate_size=64,
    vocab_size=99,
    max_positions=128,
    activation="gelu",
    layer_norm_eps=1e-12,
)
MANIFEST = Manifest(
    created_by="cachelora-export 0.1.0",
    base_model=BaseEntry(id="builtin:tiny", revision=None, sha256="ab" * 32, license=None),
    adapter=AdapterEntry(id="tiny-lora", revision=None, sha256="cd" * 32, rank=2, alpha=4, target_modules=("query",)),
    architecture=ARCHITECTURE,
    pooling="mean",
    normalize=True,
    max_tokens=64,
    dimension=32,
    files={
        "model.onnx": FileEntry(size=5, sha256="01" * 32),
        "tokenizer.json": FileEntry(size=2, sha256="02" * 32),
        "calibration.json": FileEntry(size=2, sha256="03" * 32),
    },
    parity={"cosine_min": 1.0},
)


def test_a_known_value():
    """The native core's test writes out the same text; a change here would orphan every stored vector."""
    import hashlib

    text = "\n".join(
        [
            "cachelora-fingerprint-1",
            "base_model.id=builtin:tiny",
            "base_model.revision=-",
            f"base_model.sha256={'ab' * 32}",
            "adapter.id=tiny-lora",
            f"adapter.sha256={'cd' * 32}",
            "model_type=bert",
            "pooling=mean",
            "normalize=true",
            "max_tokens=64",
            "dimension=32",
            f"file=model.onnx {'01' * 32}",
            f"file=tokenizer.json {'02' * 32}",
            "",
        ]
    )
    assert fingerprint(MANIFEST) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"base_model": MANIFEST.base_model.model_copy(update={"revision": "x"})},
        {"base_model": MANIFEST.base_model.model_copy(update={"sha256": "ef" * 32})},
        {"adapter": None},
        {"pooling": "cls"},
        {"normalize": False},
        {"max_tokens": 65},
        {"dimension": 33},
        {"architecture": ARCHITECTURE.model_copy(update={"model_type": "roberta"})},
        {"files": {**MANIFEST.files, "model.onnx": FileEntry(size=5, sha256="09" * 32)}},
        {
            "files": {
                **MANIFEST.files,
                "encoder.int8.safetensors": FileEntry(size=5, sha256="09" * 32),
            }
        },
    ],
)
def test_whatever_shapes_a_vector_changes_it(change):
    assert fingerprint(MANIFEST.model_copy(update=change)) != fingerprint(MANIFEST)


@pytest.mark.parametrize(
    "change",
    [
        {"created_by": "somebody else"},
        {"parity": {}},
        {"files": {**MANIFEST.files, "calibration.json": FileEntry(size=9, sha256="09" * 32)}},
    ],
)
def test_whatever_does_not_leaves_it(change):
    assert fingerprint(MANIFEST.model_copy(update=change)) == fingerprint(MANIFEST)


@given(
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\n"), min_size=1),
    st.text(min_size=1, alphabet=st.characters(codec="utf-8", exclude_characters="\n")),
)
def test_other_names_are_other_namespaces(a, b):
    one, other = (
        MANIFEST.model_copy(update={"base_model": MANIFEST.base_model.model_copy(update={"id": name})})
        for name in (a, b)
    )
    assert (fingerprint(one) == fingerprint(other)) == (a == b)
