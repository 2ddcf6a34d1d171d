"""Measures as a person reads them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table

__all__ = ["comparison_table", "comparisons_tables", "figures_tables", "ranged", "shown", "verdict"]

MEASURES = (
    ("margin", "margin", "+.4f"),
    ("roc_auc", "ROC-AUC", ".4f"),
    ("average_precision", "average precision", ".4f"),
)


def comparison_table(base: dict[str, Any], adapter: dict[str, Any] | None) -> Table:
    """Return a table of measures by domain: the base model's and, after an arrow, the adapter's.

    Args:
        base: Measures by domain.
        adapter: The same for the adapter, or None.
    """
    table = Table("domain", "rows +/-", *(title for _, title, _ in MEASURES))
    for domain, before in base.items():
        sizes = (before.get(key, before["triplets"]) for key in ("positives", "negatives"))
        cells = [domain, "/".join(map(str, sizes))]
        for key, _, form in MEASURES:
            cell = shown(before[key], form)
            if adapter is not None:
                cell += f" -> {shown(adapter[domain][key], form)}"
            cells.append(cell)
        table.add_row(*cells)
    return table


def figures_tables(facts: dict[str, Any]) -> Iterator[Table]:
    """Yield the tables of what `cachelora evaluate` found: per model, the overlap audit, the comparisons."""
    bounds = [f"{bound:g}" for bound in facts["settings"]["false_hit_rates"]]
    for model in facts["models"]:
        table = Table(
            "group",
            "rows +/-",
            "margin",
            "ROC-AUC",
            *(f"{float(bound):.0%}" for bound in bounds),
            title=f"{model['role']} {model['name']}: {model['texts']} texts in {model['seconds']} s "
            f"({model['backend']}). "
            "Last columns: hits at so many false hits",
            title_justify="left",
        )
        for part, title in (("by_domain", ""), ("by_kind", "kind "), ("by_length", "words ")):
            for group, found in model[part].items():
                # One group is the whole, and the whole comes once.
                if (group != "all" and len(model[part]) > 2) or (group == "all" and part == "by_domain"):
                    table.add_row(f"{title}{group}", *_cells(found, bounds))
            table.add_section()
        if "all" in model["without_overlap"]["by_domain"]:
            table.add_row("overlap fails", *_cells(model["without_overlap"]["by_domain"]["all"], bounds))
        yield table
    audit = Table("domain", "rows", "solved by words in common", "ROC-AUC of words in common")
    for domain, found in facts["overlap"]["by_domain"].items():
        audit.add_row(domain, str(found["rows"]), f"{found['solved']:.1%}", shown(found["roc_auc"], ".4f"))
    yield audit
    yield from comparisons_tables(facts["comparisons"])


def comparisons_tables(comparisons: list[dict[str, Any]]) -> Iterator[Table]:
    """Yield a table for every two models: differences with their intervals, and what they prove."""
    for a, b in dict.fromkeys((one["a"], one["b"]) for one in comparisons):
        table = Table(
            "group",
            "measure",
            "before",
            "after",
            "difference",
            "p (Holm)",
            "",
            title=f"{a} -> {b}",
            title_justify="left",
        )
        for one in comparisons:
            if (one["a"], one["b"]) == (a, b):
                table.add_row(
                    one["group"],
                    one["measure"].replace("_", " "),
                    shown(one["a_value"], ".4f"),
                    shown(one["b_value"], ".4f"),
                    f"{one['difference']:+.4f}{ranged(one['interval'], '+.3f')}",
                    f"{one['p_holm']:.4f}",
                    verdict(one),
                )
        yield table


def verdict(comparison: dict[str, Any]) -> str:
    """Say in a word what a comparison shows."""
    if not comparison["significant"]:
        return "not shown"
    return "better" if comparison["difference"] > 0 else "WORSE"


def shown(value: float | None, form: str) -> str:
    """Return a figure in a format, or a dash where the group can't have it."""
    return "-" if value is None else format(value, form)


def ranged(interval: list[float] | None, form: str) -> str:
    """Return an interval in brackets after a space, or nothing where there is none."""
    return "" if interval is None else f" [{format(interval[0], form)}, {format(interval[1], form)}]"


def _cells(found: dict[str, Any], bounds: list[str]) -> list[str]:
    cells = [
        f"{found['positives']}/{found['negatives']}",
        shown(found["margin"], "+.3f") + ranged(found["margin_interval"], ".3f"),
        shown(found["roc_auc"], ".4f") + ranged(found["roc_auc_interval"], ".3f"),
    ]
    for bound in bounds:
        hits = found["hits"][bound]
        cells.append("-" if hits is None else f"{hits['hit_rate']:.1%}")
    return cells
