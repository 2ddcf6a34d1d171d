"""The wheel in an environment with numpy only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        ["maturin", "build", "--release", "--locked", "--quiet", "--out", out],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=900,
    )
    (found,) = out.glob("*.whl")
    return Path(found)


def test_the_wheel_holds_the_runtime_and_nothing_else(wheel):
    assert "-abi3-" in wheel.name
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"cachelora/py.typed", "cachelora/_native.pyi", "cachelora/_native.abi3.so"} <= names
    assert not [name for name in names if "torch" in name or "training" in name or "__pycache__" in name]


def test_it_works_with_numpy_only(wheel, tiny, tmp_path):
    import onnxruntime

    venv.create(tmp_path / "environment", with_pip=True)
    python = tmp_path / "environment" / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    subprocess.run(
        [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-c",
            constraints,
            wheel,
        ],
        check=True,
        capture_output=True,
        timeout=300,
    )
    program = """
import json, sys
from importlib.metadata import distributions
from cachelora import Embedder
library, bundle = sys.argv[1:]
with Embedder(bundle, onnxruntime_path=library) as embedder:
    vector = embedder.encode("how can i reset my password")
print(json.dumps({
    "installed": sorted({d.metadata["Name"] for d in distributions()} - {"pip", "setuptools"}),
    "heavy": [name for name in ("torch", "transformers", "onnxruntime", "rich", "typer") if name in sys.modules],
    "vector": vector.tolist(),
}))
"""
    (library,) = (Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*")
    environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    done = subprocess.run(
        [python, "-c", program, library, tiny.bundle],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["installed"] == ["cachelora", "numpy"]
    assert facts["heavy"] == []

    from cachelora import Embedder

    with Embedder(tiny.bundle) as embedder:
        assert facts["vector"] == embedder.encode("how can i reset my password").tolist()

    said = subprocess.run(
        [python, "-m", "cachelora"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        cwd=tmp_path,
    )
    assert said.returncode == 1
    assert 'pip install "cachelora[cli]"' in said.stderr


def test_a_command_that_is_not_installed_names_its_distribution(tmp_path):
    program = (
        "from cachelora import application\n"
        "application.installed_commands = lambda: {}\n"
        "application.build_application()(['train'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "pip install cachelora-training" in done.stderr


def test_the_stubs_agree_with_the_extension():
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "cachelora._native", "--ignore-disjoint-bases"],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
