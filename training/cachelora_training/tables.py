"""Measures as a person reads them."""

from __future__ import annotations

from typing import Any

from rich.table import Table

__all__ = ["comparison_table"]

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
    table = Table("domain", "triplets", *(title for _, title, _ in MEASURES))
    for domain, before in base.items():
        cells = [domain, str(before["triplets"])]
        for key, _, form in MEASURES:
            cell = format(before[key], form)
            if adapter is not None:
                cell += f" -> {format(adapter[domain][key], form)}"
            cells.append(cell)
        table.add_row(*cells)
    return table
