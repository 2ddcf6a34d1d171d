"""All benchmarks of the tiny bundle in one command, and the page that comes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cachelora_benchmarks.page.write import stale_files, write_page

TINY = Path(os.environ["CACHELORA_TEST_TINY"])
ROWS = [(f"how can i reset my password {n}", f"password {n} reset how", f"reset my card {n}") for n in range(12)]


def rows(path: Path) -> Path:
    keys = ("anchor", "positive", "negative")
    path.write_text("".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in ROWS), encoding="utf-8")
    return path


def bench_all(output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    bundle = str(TINY / "bundle-int8")
    call = [sys.executable, "-m", "cachelora", "bench", "all", bundle, "--out", str(output), "--json", *arguments]
    return subprocess.run(call, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> Path:
    """Results of everything but training, with the fewest rounds; the README too."""
    directory: Path = tmp_path_factory.mktemp("suite")
    data = str(rows(directory / "rows.jsonl"))
    done = bench_all(
        directory / "results" / "tiny",
        *("--texts", data, "--count", "8", "--threads", "1", "--tokens", "8,16", "--rounds", "3"),
        *("--test-file", data, "--base-model", str(TINY / "base")),
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["failed"] == {}
    assert list(facts["files"]) == ["latency", "throughput", "memory", "margin"]
    assert "4 of 4: margin" in done.stderr
    return directory


def test_each_benchmark_has_its_file(measured):
    place = measured / "results" / "tiny"
    names = {"machine", "bundle", "latency", "throughput", "memory", "margin"}
    assert {path.name for path in place.iterdir()} == {f"{name}.json" for name in names}
    facts = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in place.iterdir()}
    assert list(facts["latency"]["latency"]) == ["8", "16"]
    assert facts["latency"]["runs"] == 15
    assert facts["throughput"]["rounds"] == facts["memory"]["rounds"] == 3
    assert facts["margin"]["triplets"] == len(ROWS)
    manifest = json.loads((TINY / "bundle-int8" / "cachelora.json").read_text(encoding="utf-8"))
    assert facts["bundle"]["fingerprint"] == manifest["fingerprint"]
    assert facts["machine"]["cores"] == os.cpu_count()
    # Where the bundle lies on this machine is nobody else's business.
    assert str(TINY) not in json.dumps(facts)


def test_the_page_shows_what_was_really_measured(measured):
    results, page = measured / "results", measured / "RESULTS.md"
    write_page(results, page)
    text = page.read_text(encoding="utf-8")
    for heading in ("## 2 layers, 32 wide", "### Latency", "### Throughput", "### Memory", "### Margin"):
        assert f"\n{heading}\n" in text
    assert "### Training" not in text
    assert stale_files(results, page) == []


def test_an_earlier_run_is_kept_unless_force_is_given(measured):
    done = bench_all(measured / "results" / "tiny", "--texts", str(measured / "rows.jsonl"))
    assert done.returncode == 1
    assert "is already there" in done.stderr
    assert (measured / "results" / "tiny" / "margin.json").is_file()


def test_one_that_fails_is_told_and_stops_no_other(tmp_path):
    output = tmp_path / "out"
    output.mkdir()
    (output / "latency.json").write_text("{}")
    (output / "training.json").write_text("{}")
    data = str(rows(tmp_path / "rows.jsonl"))
    # The tiny bundle reads 128 tokens.
    done = bench_all(
        output,
        *("--texts", data, "--count", "4", "--threads", "1", "--tokens", "4000", "--rounds", "3", "--force"),
        *("--train-data", data, "--triplets", "500", "--base-model", str(TINY / "base")),
    )
    assert done.returncode == 1, done.stderr
    facts = json.loads(done.stdout)
    assert "this bundle reads at most 128" in facts["failed"]["latency"]
    assert "500 triplets were asked for" in facts["failed"]["training"]
    assert list(facts["files"]) == ["throughput", "memory"]
    assert "latency failed: " in done.stderr
    # Nor are the figures of an earlier run left to pass for this one's.
    assert {path.stem for path in output.iterdir()} == {"machine", "bundle", "throughput", "memory"}
