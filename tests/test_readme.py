"""Every code block of the README runs, in order, in one directory."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cachelora_training.rows import read_triplets

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def directory(tiny, tmp_path_factory) -> Path:
    """A directory that looks like a checkout after `make demo`."""
    found: Path = tmp_path_factory.mktemp("readme")
    (found / "build" / "demo").mkdir(parents=True)
    (found / "build" / "demo" / "bundle").symlink_to(tiny.bundle)
    for name in ("training", "native", "target"):
        (found / name).symlink_to(ROOT / name)
    return found


def run(command: list[str], directory: Path) -> str:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=500, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def blocks(language: str) -> list[str]:
    found = [code for name, code in BLOCKS if name == language]
    assert found, f"the README has no {language} block"
    return found


def test_every_block_is_of_a_language_that_is_run_here():
    assert {name for name, _ in BLOCKS} == {"python", "go", "c", "json", "sh"}


def test_python(directory):
    (code,) = blocks("python")
    assert run([sys.executable, "-c", code], directory) in ("hit\n", "miss\n")


def test_go(directory):
    (code,) = blocks("go")
    program = directory / "program"
    program.mkdir()
    (program / "main.go").write_text(code)
    module = "github.com/cachelora/cachelora/native/go"
    (program / "go.mod").write_text(
        f"module program\n\ngo 1.24\n\nrequire {module} v0.0.0\n\nreplace {module} => {ROOT / 'native' / 'go'}\n"
    )
    run(["go", "build", "-C", str(program), "-o", str(directory / "go-program"), "."], directory)
    assert run(["./go-program"], directory) == "onnxruntime 32\n"


def test_c(directory):
    (code,) = blocks("c")
    (directory / "program.c").write_text(code)
    flags = re.search(r"`cc program\.c (.*?)`", README)
    assert flags is not None
    library = f"-Wl,-rpath,{ROOT / 'target' / 'release'}"
    strict = ["-std=c11", "-Wall", "-Wextra", "-Werror", library, "-o", "c-program"]
    run(["cc", "program.c", *flags[1].split(), *strict], directory)
    assert run(["./c-program"], directory).startswith("32 numbers")


def test_rows(directory):
    for code in blocks("json"):
        json.loads(code)
        (directory / "row.jsonl").write_text(code)
        assert len(read_triplets([str(directory / "row.jsonl")])) == 1


def test_commands_in_order(directory):
    for code in blocks("sh"):
        run(["bash", "-euc", code], directory)
    assert json.loads((directory / "results.json").read_text())["adapter"]["by_domain"]["medical"]["triplets"] >= 40
    assert (directory / "bundle" / "calibration.json").is_file()


def test_the_two_commands_are_there():
    for target in re.findall(r"^    (make \w+)", README, flags=re.MULTILINE):
        subprocess.run(
            [*target.split(), "--dry-run", "--silent"], cwd=ROOT, check=True, capture_output=True, timeout=60
        )


def test_links_lead_somewhere():
    for place in re.findall(r"\]\((?!https?:)(.*?)\)", README):
        assert (ROOT / place).exists(), place
