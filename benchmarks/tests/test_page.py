"""The page of results: what it says of known figures, and that the one in the repository says what its JSON says."""

from __future__ import annotations

import json
import re
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cachelora.errors import CacheloraError, UsageError
from cachelora_benchmarks.commands import bench
from cachelora_benchmarks.page.markdown import BEGIN, END
from cachelora_benchmarks.page.numbers import number
from cachelora_benchmarks.page.results import read_results
from cachelora_benchmarks.page.write import stale_files, with_summary, write_page
from PIL import Image
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]
MACHINE = {
    "processor": "Some | CPU",
    "cores": 2,
    "system": "Linux",
    "python": "3.11",
    "versions": {"torch": "2", "numpy": "1"},
}
PEER, OURS, LIMIT = "sentence-transformers (PyTorch)", "cachelora (fused)", "limit"


def spread(median: float) -> dict[str, float]:
    return {"median": median, "p5": median * 0.9, "p95": median * 1.1}


def latency_of(peer: float, ours: float, limit: float) -> dict[str, Any]:
    return {
        name: spread(value) | {"times_ours": spread(value / ours), "ours_times": spread(ours / value)}
        for name, value in ((PEER, peer), (OURS, ours), (LIMIT, limit))
    }


def measures(triplets: int, margin: float, roc_auc: float) -> dict[str, float]:
    return {"triplets": triplets, "margin": margin, "roc_auc": roc_auc}


def facts_of(fingerprint: str) -> dict[str, Any]:
    bundle = {"fingerprint": fingerprint}
    resident = {"all": 31.25, "own": 10.0, "files": 21.25, "peak": 40.0}
    return {
        "machine": MACHINE,
        "latency": {
            "machine": MACHINE,
            "bundle": bundle,
            "clock": "wall",
            "runs": 100,
            "kernel": "avx2",
            "latency": {"16": latency_of(8.0, 2.0, 1.0), "128": latency_of(30.0, 10.0, 8.0)},
        },
        "throughput": {
            "machine": MACHINE,
            "bundle": bundle,
            "texts": 1000,
            "tokens": {"mean": 11.5, "longest": 40},
            "rounds": 7,
            "throughput": {
                "1": spread(700.0) | {"times_first": spread(1.0)},
                "2": spread(1234.0) | {"times_first": spread(1.76)},
            },
        },
        "memory": {
            "machine": MACHINE,
            "bundle": {"name": "6-layers", "bytes": {}},
            "rounds": 7,
            "first_vector_ms": {"cold": spread(90.0), "cached": spread(45.6)},
            "open_ms": {"cold": spread(80.0), "cached": spread(40.0)},
            "resident_mib": {"bare": resident, "after_first": resident | {"all": 62.5}, "after_longest": resident},
            "stripped_bytes": {"_native.abi3.so": 4_560_000, "libcachelora.so": None},
        },
        "margin": {
            "machine": MACHINE,
            "bundle": bundle,
            "data": [{"name": "law/test.jsonl", "sha256": "0", "rows": 80}],
            "engines": {
                "base model (PyTorch)": {
                    "seconds": 3.0,
                    "by_domain": {"all": measures(80, -0.0123, 0.4567), "law": measures(80, -0.0123, 0.4567)},
                },
                "bundle (cachelora, fused)": {
                    "seconds": 1.0,
                    "by_domain": {"all": measures(80, 0.2345, 0.8765), "law": measures(80, 0.2345, 0.8765)},
                },
            },
        },
        "training": {
            "machine": MACHINE,
            "triplets": 2000,
            "threads": 2,
            "rounds": 3,
            "seconds": {"cachelora": spread(50.0), "sentence-transformers": spread(60.0)},
            "ours_times": spread(0.83),
            "peak_mib": {"cachelora": 900, "sentence-transformers": 1000},
        },
    }


def keep(directory: Path, layers: int, facts: dict[str, Any]) -> Path:
    place = directory / f"{layers}-layers"
    place.mkdir(parents=True)
    about = {
        "base_model": "base",
        "adapter": "multi-domain" if layers == 6 else None,
        "fingerprint": facts["latency"]["bundle"]["fingerprint"],
        "architecture": {"layers": layers, "hidden_size": 384},
    }
    for name, content in (facts | {"bundle": about}).items():
        (place / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return place


class Kept:
    """Results of two bundles, and a README, all made up."""

    def __init__(self, root: Path) -> None:
        self.results, self.page, self.readme = (
            root / "bench" / "results",
            root / "bench" / "RESULTS.md",
            root / "README.md",
        )
        keep(self.results, 6, facts_of("six"))
        deep = facts_of("twelve")
        del deep["margin"], deep["training"]
        # Beside the shallow one under a name that sorts before it.
        keep(self.results, 12, deep)
        self.readme.write_text(f"# Project\n\nBefore.\n\n{BEGIN}\n{END}\n\nAfter.\n", encoding="utf-8")

    def write(self) -> list[Path]:
        return write_page(self.results, self.page, self.readme)

    def stale(self) -> list[Path]:
        return stale_files(self.results, self.page, self.readme)

    def edit(self, name: str, change: Any) -> None:
        path = self.results / "6-layers" / f"{name}.json"
        facts = json.loads(path.read_text(encoding="utf-8"))
        change(facts)
        path.write_text(json.dumps(facts), encoding="utf-8")


@pytest.fixture
def kept(tmp_path) -> Kept:
    return Kept(tmp_path)


def table_rows(markdown: str) -> list[list[str]]:
    """Return the cells of every table row, without those of the rule below a head."""
    lines = (re.split(r"(?<!\\)\|", line)[1:-1] for line in markdown.splitlines() if line.startswith("|"))
    rows = [[cell.strip() for cell in line] for line in lines]
    return [row for row in rows if row[0] != "---"]


def figures(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])", text))


def section_between_markers(readme: str) -> str:
    return readme.partition(BEGIN)[2].partition(END)[0]


def check_that_the_readme_quotes_the_page(readme: str, page: str) -> None:
    """Each figure of the README's rows stands in a cell of the page, written alike."""
    on_page = figures(" ".join(cell for row in table_rows(page) for cell in row) + page)
    quoted = [cell for row in table_rows(section_between_markers(readme))[1:] for cell in row[1:] if cell != "–"]
    assert len(quoted) >= 2
    for cell in quoted:
        assert figures(cell), cell
        assert figures(cell) <= on_page, cell


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.012345, "0.0123"),
        (1.2345, "1.23"),
        (12.345, "12.3"),
        (1234.4, "1234"),
        (9.996, "10.0"),
        (99.96, "100"),
        (0, "0"),
    ],
)
def test_figures_have_three_digits(value, text):
    assert number(value) == text


def test_the_tables_say_what_was_measured(kept):
    kept.write()
    rows = table_rows(kept.page.read_text(encoding="utf-8"))
    for row in (
        ["processor", "Some \\| CPU"],
        ["packages", "numpy 1, torch 2"],
        ["tokens", PEER, OURS, LIMIT],
        ["16", "8.00 (7.20 to 8.80)", "2.00 (1.80 to 2.20)", "1.00 (0.900 to 1.10)"],
        ["tokens", f"{PEER} / ours", "ours / limit"],
        ["16", "4.00", "2.00"],
        ["128", "3.00", "1.25"],
        ["2", "1234 (1111 to 1357)", "1.76"],
        ["files on disk", "80.0 (72.0 to 88.0)", "90.0 (81.0 to 99.0)"],
        ["after the first vector", "62.5", "10.0", "21.2"],
        ["`_native.abi3.so`", "4.56"],
        ["law", "80", "-0.012", "0.234", "0.457", "0.876"],
        ["sentence-transformers", "60.0 (54.0 to 66.0)", "1000"],
    ):
        assert row in rows, row


def test_the_readme_has_the_same_figures(kept):
    kept.write()
    readme = kept.readme.read_text(encoding="utf-8")
    assert readme.startswith("# Project\n\nBefore.\n\n")
    assert readme.endswith("\n\nAfter.\n")
    section = section_between_markers(readme)
    assert "](bench/RESULTS.md)" in section
    rows = table_rows(section)
    assert rows[0] == ["", "6 layers, 384 wide", "12 layers, 384 wide"]
    for row in (
        ["16 tokens: milliseconds", "2.00", "2.00"],
        [f"128 tokens: {PEER} takes, times as long", "3.00", "3.00"],
        ["texts a second, 2 threads", "1234", "1234"],
        ["open to first vector, milliseconds", "45.6", "45.6"],
        ["resident after it, MiB", "62.5", "62.5"],
        ["ROC-AUC, base model → bundle", "0.457 → 0.876", "–"],
        ["training time / bare sentence-transformers", "0.83", "–"],
    ):
        assert row in rows, row
    check_that_the_readme_quotes_the_page(readme, kept.page.read_text(encoding="utf-8"))


def test_what_was_not_measured_has_no_section(kept):
    kept.write()
    page = kept.page.read_text(encoding="utf-8")
    shallow, deep = page.split("## 12 layers")
    assert "## 6 layers, 384 wide" in shallow
    assert "### Margin" in shallow
    assert "### Training" in shallow
    assert "### Latency" in deep
    assert "### Margin" not in deep
    assert "### Training" not in deep


def test_equal_results_give_equal_files(kept, tmp_path):
    other = Kept(tmp_path / "other")
    for one, two in zip(kept.write(), other.write(), strict=True):
        assert one.read_bytes() == two.read_bytes(), one
    before = {path: path.read_bytes() for path in kept.write()}
    assert before == {path: path.read_bytes() for path in kept.write()}
    assert kept.stale() == []


def test_the_page_has_no_date_and_no_directory_of_the_machine(kept, tmp_path):
    kept.write()
    for path in (kept.page, kept.readme):
        text = path.read_text(encoding="utf-8")
        assert str(tmp_path) not in text
        assert not re.search(r"\b20\d\d-\d\d", text)
    for path in kept.results.rglob("*.png"):
        assert not Image.open(path).text


def test_every_plot_is_on_the_page_and_shows_its_facts(kept):
    kept.write()
    linked = re.findall(r"!\[.*?\]\((.*?)\)", kept.page.read_text(encoding="utf-8"))
    assert sorted(linked) == [
        "results/12-layers/latency.png",
        "results/12-layers/throughput.png",
        "results/6-layers/latency.png",
        "results/6-layers/margin.png",
        "results/6-layers/throughput.png",
    ]
    for place in linked:
        pixels = np.asarray(Image.open(kept.page.parent / place).convert("RGB"))
        assert pixels.shape[1] > 600
        # Drawn on: neither blank nor of one colour.
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


@pytest.mark.parametrize("name", ["page", "readme"])
def test_a_figure_edited_by_hand_is_found(kept, name):
    kept.write()
    path = getattr(kept, name)
    text = path.read_text(encoding="utf-8")
    changed = text.replace("0.876", "0.976", 1)
    assert changed != text
    path.write_text(changed, encoding="utf-8")
    assert kept.stale() == [path]
    if name == "readme":
        with pytest.raises(AssertionError):
            check_that_the_readme_quotes_the_page(changed, kept.page.read_text(encoding="utf-8"))


def test_facts_edited_by_hand_are_found(kept):
    kept.write()
    kept.edit("throughput", lambda facts: facts["throughput"]["2"].update(spread(1400.0)))
    assert kept.stale() == [kept.results / "6-layers" / "throughput.png", kept.page, kept.readme]


def test_a_plot_of_other_facts_is_found_and_another_rounding_is_not(kept):
    kept.write()
    plot = kept.results / "6-layers" / "margin.png"
    pixels = np.asarray(Image.open(plot).convert("RGB")).astype(int)
    buffer = BytesIO()
    Image.fromarray(np.abs(pixels - 1).astype("u1")).save(buffer, format="png")
    plot.write_bytes(buffer.getvalue())
    assert kept.stale() == []
    shutil.copyfile(kept.results / "6-layers" / "latency.png", plot)
    assert kept.stale() == [plot]
    plot.unlink()
    assert kept.stale() == [plot]


def test_figures_of_two_machines_are_not_shown_together(kept):
    kept.edit("latency", lambda facts: facts["machine"].update(cores=64))
    with pytest.raises(UsageError, match=r"latency\.json: was measured on another machine"):
        kept.write()


def test_figures_of_two_bundles_are_not_shown_as_one(kept):
    kept.edit("throughput", lambda facts: facts["bundle"].update(fingerprint="other"))
    with pytest.raises(UsageError, match=r"throughput\.json: is of another bundle"):
        kept.write()


def test_a_directory_without_results(tmp_path):
    with pytest.raises(UsageError, match=r"no directory in it has a bundle\.json"):
        read_results(tmp_path)


def test_a_broken_file_is_named(kept):
    (kept.results / "6-layers" / "memory.json").write_text("{", encoding="utf-8")
    with pytest.raises(UsageError, match=r"memory\.json: can't be read as JSON"):
        kept.write()


@pytest.mark.parametrize("text", ["none", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_readme_without_its_place_is_refused(kept, text):
    with pytest.raises(UsageError, match="were expected"):
        with_summary(text, "summary")
    kept.readme.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"README\.md: one line"):
        kept.write()
    # Nothing was written before everything was known to be possible.
    assert not kept.page.exists()


def test_the_command_writes_and_checks(kept):
    call = ["page", str(kept.results), "--output", str(kept.page), "--readme", str(kept.readme)]
    run = CliRunner().invoke
    unwritten = run(bench, [*call, "--check"])
    assert isinstance(unwritten.exception, CacheloraError)
    assert "RESULTS.md" in str(unwritten.exception)
    assert not kept.page.exists()
    assert run(bench, call).exit_code == 0
    assert run(bench, [*call, "--check"]).exit_code == 0


KEPT, KEPT_PAGE, README = ROOT / "benchmarks" / "results", ROOT / "benchmarks" / "RESULTS.md", ROOT / "README.md"


def test_the_projects_page_and_readme_say_what_its_results_say():
    readme = README.read_text(encoding="utf-8")
    if not KEPT.exists():
        # Without results there may be no figures that claim to come from them.
        assert not KEPT_PAGE.exists()
        assert not section_between_markers(readme).strip()
        with_summary(readme, "")
        pytest.skip("benchmarks/results is not there; `make bench` writes it")
    stale = stale_files(KEPT, KEPT_PAGE, README)
    assert not stale, f"{stale}: edited by hand, or `make bench-page` was not run after a change"
    check_that_the_readme_quotes_the_page(readme, KEPT_PAGE.read_text(encoding="utf-8"))
    for file in KEPT.rglob("*.json"):
        assert not re.search(r'"/(?!/)[\w.-]+/', file.read_text(encoding="utf-8")), f"{file}: has a path of the machine"
