"""The plots: each turns one benchmark's facts into the bytes of a PNG file, the same bytes for the same facts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from cachelora_benchmarks.latency import LIMIT
from cachelora_benchmarks.page.numbers import engines_of_margin
from cachelora_benchmarks.page.results import Facts

__all__ = ["PLOTS"]

# Colours that are told apart with any kind of colour vision (Okabe and Ito); markers tell them apart in grey.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8C6D31", "#5B3794", "#000000", "#7F7F7F")
MARKERS = ("o", "s", "^", "v", "D", "P", "X", "<", ">", "*")
BEFORE, AFTER = "#999999", "#0072B2"
DOTS_PER_INCH = 110


@contextmanager
def _canvas(columns: int = 1) -> Iterator[tuple[Figure, list[Axes], BytesIO]]:
    """Yield a figure that is drawn into the buffer when the block ends, in no style but matplotlib's own."""
    buffer = BytesIO()
    with style.context("default"):
        figure = Figure(figsize=(7.5, 4.2), layout="constrained")
        axes = [figure.add_subplot(1, columns, column + 1) for column in range(columns)]
        for axis in axes:
            axis.spines[["top", "right"]].set_visible(False)
            axis.set_axisbelow(True)
        yield figure, axes, buffer
        # Without the name and version of what drew it.
        figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})


def latency(facts: Facts) -> bytes:
    """Draw milliseconds by tokens for every engine, and the limit, on logarithmic axes."""
    lengths = [int(count) for count in facts["latency"]]
    found = list(facts["latency"].values())
    with _canvas() as (_, (axis,), buffer):
        names = [name for name in found[0] if name != LIMIT]
        for index, name in enumerate(names):
            colour = COLOURS[index % len(COLOURS)]
            median, low, high = ([length[name][key] for length in found] for key in ("median", "p5", "p95"))
            axis.fill_between(lengths, low, high, color=colour, alpha=0.2, linewidth=0)
            axis.plot(lengths, median, color=colour, marker=MARKERS[index % len(MARKERS)], markersize=5, label=name)
        if LIMIT in found[0]:
            limit = [length[LIMIT]["median"] for length in found]
            axis.plot(lengths, limit, color="black", linestyle="--", linewidth=1, label="limit of the multiply-adds")
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.xaxis.set_major_locator(FixedLocator(lengths))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.grid(alpha=0.3)
        axis.set_xlabel("tokens of the text")
        axis.set_ylabel("milliseconds (median, 5th to 95th percentile)")
        axis.legend(frameon=False)
    return buffer.getvalue()


def throughput(facts: Facts) -> bytes:
    """Draw texts per second by threads, beside what the first would be if each thread added as much."""
    found = list(facts["throughput"].values())
    threads = np.array([int(count) for count in facts["throughput"]], dtype=float)
    median, low, high = (np.array([rate[key] for rate in found]) for key in ("median", "p5", "p95"))
    with _canvas() as (_, (axis,), buffer):
        axis.plot(
            threads, median[0] * threads / threads[0], color="black", linestyle="--", linewidth=1, label="proportional"
        )
        axis.errorbar(
            threads, median, yerr=[median - low, high - median], color=AFTER, marker="o", capsize=4, label="cachelora"
        )
        axis.set_xticks(threads)
        axis.set_ylim(bottom=0)
        axis.grid(axis="y", alpha=0.3)
        axis.set_xlabel("threads")
        axis.set_ylabel("texts a second (median, 5th to 95th percentile)")
        axis.legend(frameon=False)
    return buffer.getvalue()


def margin(facts: Facts) -> bytes:
    """Draw margin and ROC-AUC of each domain, base model beside bundle."""
    engines = facts["engines"]
    before, after = (engines[name]["by_domain"] for name in engines_of_margin(list(engines)))
    places = np.arange(len(after))
    with _canvas(columns=2) as (figure, axes, buffer):
        for axis, key, title in zip(axes, ("margin", "roc_auc"), ("margin", "ROC-AUC"), strict=True):
            for measures, offset, colour, label in (
                (before, -0.2, BEFORE, "base model"),
                (after, 0.2, AFTER, "bundle"),
            ):
                heights = [measures[domain][key] for domain in after]
                axis.bar(places + offset, heights, width=0.38, color=colour, label=label)
            axis.set_xticks(places, list(after), rotation=30, ha="right")
            axis.grid(axis="y", alpha=0.3)
            axis.set_title(title)
        axes[1].set_ylim(0, 1)
        axes[0].axhline(0, color="black", linewidth=0.8)
        axes[1].axhline(0.5, color="black", linestyle="--", linewidth=0.8)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    return buffer.getvalue()


# By the benchmark's name.
PLOTS: dict[str, Callable[[Facts], bytes]] = {"latency": latency, "throughput": throughput, "margin": margin}
