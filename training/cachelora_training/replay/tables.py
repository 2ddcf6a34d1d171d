"""What a replay found, for a terminal of 80 columns."""

from __future__ import annotations

from typing import Any

from rich.table import Table

__all__ = ["replay_tables"]

SERVED = ("threshold", "stored", "hits", "right", "wrong", "unknown", "missed")
CROWD = ("threshold", "stored", "reached", "foretold", "search", "nearest found")


def replay_tables(facts: dict[str, Any]) -> list[Table]:
    """Return what was served, and what the stored crowd does to it; see `replay_bundle` for ``facts``."""
    runs = facts["runs"]
    served = _table(
        "What was served",
        SERVED,
        f"Shares of {facts['settings']['questions']:,} questions. Unknown: an unrelated question got another unrelated "
        "one's answer. Missed: of the questions whose answer was asked for before, those not rightly served.",
    )
    crowd = _table(
        "What the stored crowd does",
        CROWD,
        f"Reached: of {runs[0]['crowd']['questions']:,} labelled questions asked, those that some stored unrelated one "
        "reaches. Foretold: the same by a model fitted to a fifth of the largest store, if enough were reached there. "
        "Nearest found: how often the search leads to the nearest stored question.",
    )
    for run, following in zip(runs, [*runs[1:], None], strict=True):
        last = following is None or following["threshold"] != run["threshold"]
        key = (f"{run['threshold']:.3f}", f"{run['entries']:,}")
        rates = (run[f"{name}_rate"] for name in ("hit", "right_hit", "wrong_hit", "unjudged_hit"))
        served.add_row(
            *key, *(f"{rate:.2%}" for rate in rates), f"{run['missed']:,} of {run['repeated']:,}", end_section=last
        )
        reached, foretold = (run["crowd"][f"{name}_wrong_neighbour_rate"] for name in ("measured", "predicted"))
        recall = run["index_recall"]["nearest_found"]
        crowd.add_row(*key, _share(reached), _share(foretold), run["index"], _share(recall), end_section=last)
    return [served, crowd]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _table(title: str, headings: tuple[str, ...], caption: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", caption=caption, caption_justify="left")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "search" else "right", no_wrap=True)
    return table
