"""A comparison as a person reads it, in the terminal and in a pull request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table

from cachelora_training.tables import ranged, shown, verdict

__all__ = ["compare_markdown", "compare_table"]

COLUMNS = ("group", "measure", "A", "B", "B - A", "p (Holm)", "")
TITLES = {"margin": "margin", "roc_auc": "ROC-AUC"}


def compare_table(facts: dict[str, Any]) -> Table:
    """Return a comparison as a table for the terminal."""
    title = f"A: {_named(facts['a'])}    B: {_named(facts['b'])}    {facts['pairs']} pairs"
    table = Table(*COLUMNS, title=title, title_justify="left")
    for cells in _rows(facts):
        table.add_row(*cells)
    return table


def compare_markdown(facts: dict[str, Any]) -> str:
    """Return a comparison as Markdown: what is compared, what is shown, by domain and by kind."""
    settings = facts["settings"]
    files = ", ".join(f"`{data['name']}` ({data['rows']} rows, {data['sha256'][:12]})" for data in facts["test_data"])
    better, worse = (
        sum(one["significant"] and one["difference"] * sign > 0 for one in facts["comparisons"]) for sign in (1, -1)
    )
    lines = [
        f"**B** {_named(facts['b'])} against **A** {_named(facts['a'])} on {files}: of {len(facts['comparisons'])} "
        f"comparisons B is better in {better} and worse in {worse}; the rest is not shown either way.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|---|---|--:|--:|--:|--:|---|",
        *("| " + " | ".join(_escaped(cell) for cell in cells) + " |" for cells in _rows(facts)),
        "",
        "| kind of near miss | pairs | margin A | margin B | ROC-AUC A | ROC-AUC B |",
        "|---|--:|--:|--:|--:|--:|",
        *("| " + " | ".join(_escaped(cell) for cell in cells) + " |" for cells in _kinds(facts)),
        "",
        f"Intervals at {settings['confidence']:.0%}, bootstrap over anchors, both models on the same "
        f"{settings['resamples_of_comparisons']} resamples, seed {settings['seed']}; p two-sided, Holm over the table.",
    ]
    return "\n".join(lines) + "\n"


def _rows(facts: dict[str, Any]) -> Iterator[list[str]]:
    for one in facts["comparisons"]:
        measure = one["measure"]
        bound = measure.removeprefix("hit_rate_at_")
        yield [
            one["group"],
            TITLES.get(measure) or f"hits at {float(bound):.0%} false hits",
            shown(one["a_value"], ".4f"),
            shown(one["b_value"], ".4f"),
            f"{one['difference']:+.4f}{ranged(one['interval'], '+.3f')}",
            f"{one['p_holm']:.4f}",
            verdict(one),
        ]


def _kinds(facts: dict[str, Any]) -> Iterator[list[str]]:
    before, after = (facts["figures"][key]["by_kind"] for key in ("a", "b"))
    for kind, found in before.items():
        yield [
            kind,
            str(found["positives"] + found["negatives"]),
            *(shown(part[kind][key], ".4f") for key in ("margin", "roc_auc") for part in (before, after)),
        ]


def _named(model: dict[str, Any]) -> str:
    digest = model.get("sha256") or model.get("fingerprint") or ""
    return f"{model['role']} {model['name']} ({digest[:12]})"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
