"""The page's text, and the few rows of it that the README shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cachelora_benchmarks.latency import LIMIT
from cachelora_benchmarks.page.numbers import engines_of_margin, fixed, number, spread_of, times
from cachelora_benchmarks.page.results import Facts, Measured, Results

__all__ = ["BEGIN", "END", "page_text", "summary_text"]

# What stands between these in a README is written by `cachelora bench page`.
BEGIN, END = "<!-- measured: from benchmarks/RESULTS.md, written by make bench -->", "<!-- /measured -->"
# The lengths that the summary shows, where they were measured: a question, and a long one.
SHOWN_TOKENS = ("16", "128")
NOTHING = "–"


def page_text(results: Results, plots: dict[tuple[str, str], str]) -> str:
    """Return the page in Markdown.

    Args:
        results: What was measured.
        plots: Where the page finds a plot, by the bundle's directory and the benchmark's name.
    """
    machine = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in sorted(machine["versions"].items()))
    parts = [
        "# Results",
        "`make bench` measures and writes this page; `make bench-page` writes it anew from the JSON files beside the "
        "plots. Don't edit it: a test compares it with them. [How each figure is measured](README.md).",
        _table(
            ["machine", ""],
            [
                ["processor", machine["processor"]],
                ["cores", str(machine["cores"])],
                ["system", machine["system"]],
                ["Python", machine["python"]],
                ["packages", versions],
            ],
        ),
    ]
    for bundle in results.bundles:
        parts += [f"## {bundle.title}", _about(bundle)]
        for name, section in SECTIONS.items():
            if name not in bundle.facts:
                continue
            parts += [f"### {name.capitalize()}", *section(bundle.facts[name])]
            if (bundle.name, name) in plots:
                parts.append(f"![{name.capitalize()}, {bundle.title}]({plots[bundle.name, name]})")
    return "\n\n".join(parts) + "\n"


def summary_text(results: Results, page: str) -> str:
    """Return the rows for a README: a column for each bundle; every figure in them is on the page, written alike.

    Args:
        results: What was measured.
        page: Where the README finds the page.
    """
    rows: dict[str, list[str]] = {}
    for column, bundle in enumerate(results.bundles):
        for label, text in _summary(bundle.facts):
            rows.setdefault(label, [NOTHING] * len(results.bundles))[column] = text
    titles = [bundle.title for bundle in results.bundles]
    return "\n\n".join(
        [
            f"Medians on {results.machine['processor']}, one thread where nothing else is said; all tables, plots and "
            f"the machine are in [RESULTS.md]({page}).",
            _table(["", *titles], [[label, *texts] for label, texts in rows.items()]),
        ]
    )


def _summary(facts: dict[str, Facts]) -> Iterable[tuple[str, str]]:
    if "latency" in facts:
        lengths = facts["latency"]["latency"]
        for count in [count for count in SHOWN_TOKENS if count in lengths] or list(lengths)[:1]:
            engines = _engines(lengths[count])
            yield f"{count} tokens: milliseconds", number(lengths[count][engines[-1]]["median"])
            for name in engines[:-1]:
                yield f"{count} tokens: {name} takes, times as long", times(lengths[count][name]["times_ours"])
    if "throughput" in facts:
        for threads, found in facts["throughput"]["throughput"].items():
            yield f"texts a second, {_threads(threads)}", number(found["median"])
    if "memory" in facts:
        yield "open to first vector, milliseconds", number(facts["memory"]["first_vector_ms"]["cached"]["median"])
        yield "resident after it, MiB", number(facts["memory"]["resident_mib"]["after_first"]["all"])
    if "margin" in facts:
        engines = facts["margin"]["engines"]
        before, after = (engines[name]["by_domain"]["all"] for name in engines_of_margin(list(engines)))
        yield "margin, base model → bundle", f"{fixed(before['margin'])} → {fixed(after['margin'])}"
        yield "ROC-AUC, base model → bundle", f"{fixed(before['roc_auc'])} → {fixed(after['roc_auc'])}"
    if "training" in facts:
        yield "training time / bare sentence-transformers", times(facts["training"]["ours_times"])


def _about(bundle: Measured) -> str:
    about = bundle.about
    adapter = f"with the adapter {about['adapter']}" if about["adapter"] else "without an adapter"
    return f"Base model `{about['base_model']}`, {adapter}; fingerprint `{about['fingerprint']}`."


def _latency(facts: Facts) -> list[str]:
    lengths = facts["latency"]
    columns = list(next(iter(lengths.values())))
    engines = _engines(next(iter(lengths.values())))
    ratios = [f"{name} / ours" for name in engines[:-1]] + (["ours / limit"] if LIMIT in columns else [])

    def ratios_of(found: Facts) -> list[str]:
        own = [found[LIMIT]["ours_times"]] if LIMIT in columns else []
        return [times(ratio) for ratio in [found[name]["times_ours"] for name in engines[:-1]] + own]

    kernel = f"kernel {facts['kernel']}" if facts["kernel"] else "ONNX Runtime computes"
    return [
        f"Milliseconds for one text on one thread: medians (5th to 95th percentile) of {facts['runs']} runs, "
        f"{facts['clock']} clock, {kernel}.",
        _table(
            ["tokens", *columns],
            [[count, *(spread_of(found[name]) for name in columns)] for count, found in lengths.items()],
        ),
        "Ratios within each turn of the same run, medians:",
        _table(["tokens", *ratios], [[count, *ratios_of(found)] for count, found in lengths.items()]),
    ]


def _throughput(facts: Facts) -> list[str]:
    first = next(iter(facts["throughput"]))
    rows = [[threads, spread_of(found), times(found["times_first"])] for threads, found in facts["throughput"].items()]
    return [
        f"{facts['texts']} texts of {facts['tokens']['mean']} tokens on average in one call, {facts['rounds']} rounds.",
        _table(["threads", "texts a second", f"times {_threads(first)}"], rows),
    ]


def _memory(facts: Facts) -> list[str]:
    states = {"cold": "files on disk", "cached": "files in the page cache"}
    resident = {
        "bare": "interpreter alone",
        "after_first": "after the first vector",
        "after_longest": "after the longest",
    }
    sizes = {name: size for name, size in facts["stripped_bytes"].items() if size is not None}
    return [
        f"Fresh processes, {facts['rounds']} of each.",
        _table(
            ["milliseconds", "to open", "to the first vector"],
            [
                [label, spread_of(facts["open_ms"][state]), spread_of(facts["first_vector_ms"][state])]
                for state, label in states.items()
            ],
        ),
        _table(
            ["resident, MiB", "all", "own", "of files"],
            [
                [label, *(number(facts["resident_mib"][key][kind]) for kind in ("all", "own", "files"))]
                for key, label in resident.items()
            ],
        ),
        _table(["stripped library", "MB"], [[f"`{name}`", number(size / 1e6)] for name, size in sizes.items()])
        if sizes
        else "There is no `strip` here; sizes were not measured.",
    ]


def _margin(facts: Facts) -> list[str]:
    engines = facts["engines"]
    before, after = (engines[name] for name in engines_of_margin(list(engines)))
    rows = []
    for domain, found in after["by_domain"].items():
        old = before["by_domain"][domain]
        rows.append(
            [domain, str(found["triplets"])]
            + [fixed(value) for key in ("margin", "roc_auc") for value in (old[key], found[key])]
        )
    data = ", ".join(f"`{file['name']}`" for file in facts["data"])
    seconds = ", ".join(f"{name} {number(engine['seconds'])}" for name, engine in engines.items())
    return [
        f"Before: the base model in PyTorch; after: the bundle as it is served. Test triplets of {data}.",
        _table(["domain", "triplets", "margin before", "after", "ROC-AUC before", "after"], rows),
        f"Seconds of encoding: {seconds}.",
    ]


def _training(facts: Facts) -> list[str]:
    rows = [[name, spread_of(found), str(facts["peak_mib"][name])] for name, found in facts["seconds"].items()]
    return [
        f"One epoch of {facts['triplets']} triplets, {facts['threads']} threads, {facts['rounds']} runs each; the "
        f"recipe's time is {times(facts['ours_times'])} times the bare loop's.",
        _table(["engine", "seconds", "peak, MiB"], rows),
    ]


SECTIONS: dict[str, Callable[[Any], list[str]]] = {
    "latency": _latency,
    "throughput": _throughput,
    "memory": _memory,
    "margin": _margin,
    "training": _training,
}


def _engines(found: Facts) -> list[str]:
    """Return the engines of one length, ours last."""
    return [name for name in found if name != LIMIT]


def _threads(count: str) -> str:
    return f"{count} thread" if count == "1" else f"{count} threads"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["--:" for _ in head[1:]]], *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
