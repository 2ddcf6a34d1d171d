"""Charts as SVG: axes, curves and bars; colours and lines come from the style sheet.

Each chart is drawn once, from whole units (see figures.py). What follows the slider is marked by a class and data
attributes: ``at-threshold`` moves along the x axis, ``at-rates`` sits on a curve.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from cachelora_benchmarks.report.figures import UNIT, AtThreshold, Units

__all__ = ["Frame", "distribution", "latency_bars", "precision_curve", "rates_curve", "roc_curve"]

Points = Sequence[tuple[float, float]]

# Of 0.05 each: few enough that some hundred rows make a shape.
BINS_PER_UNIT = 20
LEVELS = 5
# What `bench latency` calls the time of the integer products alone.
LIMIT = "limit"


@dataclass(frozen=True)
class Frame:
    """The plane of a chart: where its values lie in a drawing of 400 by 266."""

    low: float = 0.0
    high: float = 1.0
    top_value: float = 1.0
    width: int = 400
    height: int = 266
    left: int = 46
    right: int = 14
    top: int = 30
    bottom: int = 42

    def x(self, value: float) -> float:
        """Return where a value lies from the left."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.left + share * (self.width - self.left - self.right), 2)

    def y(self, value: float) -> float:
        """Return where a value lies from the top."""
        return round(self.height - self.bottom - value / self.top_value * (self.height - self.top - self.bottom), 2)

    def open(self, name: str, title: str, description: str) -> Markup:
        """Return the opening tag with what a screen reader says."""
        return Markup(
            '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-labelledby="{}-title {}-text" data-left="{}" '
            'data-span="{}" data-low="{}" data-high="{}" data-top="{}" data-rise="{}">'
            '<title id="{}-title">{}</title><desc id="{}-text">{}</desc>'
        ).format(
            self.width,
            self.height,
            name,
            name,
            self.left,
            self.width - self.left - self.right,
            self.low,
            self.high,
            self.top,
            self.height - self.top - self.bottom,
            name,
            title,
            name,
            description,
        )

    def axes(self, x_label: str, y_label: str, *, percent_x: bool = False, y_ticks: bool = True) -> Markup:
        """Return grid, ticks and labels."""
        parts = []
        bottom = self.height - self.bottom
        for value in self.ticks():
            shown = f"{100 * value:.0f} %" if percent_x else f"{value:.1f}"
            parts.append(
                f'<text class="tick" x="{self.x(value)}" y="{bottom + 17}" text-anchor="middle">{shown}</text>'
            )
        for step in range(LEVELS + 1):
            height = self.y(self.top_value * step / LEVELS)
            kind = "axis" if step == 0 else "grid"
            parts.append(
                f'<line class="{kind}" x1="{self.left}" x2="{self.width - self.right}" y1="{height}" y2="{height}"/>'
            )
            if y_ticks:
                parts.append(
                    f'<text class="tick" x="{self.left - 6}" y="{height + 4}" text-anchor="end">'
                    f"{100 * step // LEVELS} %</text>"
                )
        parts.append(
            f'<text class="label" x="{(self.left + self.width - self.right) / 2}" y="{self.height - 4}" '
            f'text-anchor="middle">{escape(x_label)}</text>'
            f'<text class="label" x="0" y="12">{escape(y_label)}</text>'
        )
        return Markup("".join(parts))

    def ticks(self) -> list[float]:
        """Return the values on the x axis that are named: whole tenths, or every second one where many are shown."""
        tenths = range(round(self.low * 10), round(self.high * 10) + 1)
        return [tenth / 10 for tenth in tenths if len(tenths) <= 7 or tenth % 2 == 0]

    def line(self, points: Points, kind: str) -> Markup:
        """Return a curve through points of values."""
        path = "L".join(f"{self.x(x)} {self.y(y)}" for x, y in points)
        return Markup('<path class="curve {}" d="M{}"/>').format(kind, path)

    def threshold(self, threshold: int) -> Markup:
        """Return the line that follows the slider."""
        return Markup(
            '<g class="at-threshold" transform="translate({} 0)"><line class="threshold" y1="{}" y2="{}"/></g>'
        ).format(self.x(threshold / UNIT), self.top - 6, self.height - self.bottom)

    def dot(self, model: int, x: str, y: str, at: tuple[float, float], kind: str) -> Markup:
        """Return a dot that follows the slider; ``x`` and ``y`` name the shares that place it."""
        return Markup(
            '<circle class="at-rates dot {}" r="5.5" cx="{}" cy="{}" data-model="{}" data-x="{}" data-y="{}"/>'
        ).format(kind, self.x(at[0]), self.y(at[1]), model, x, y)


def histogram(values: Units, low: float) -> NDArray[np.float64]:
    """Return the share of values in each bin from ``low`` to 1; what lies outside counts in the outermost bins."""
    count = round((1 - low) * BINS_PER_UNIT)
    places = np.clip(((values / UNIT - low) * BINS_PER_UNIT).astype(int), 0, count - 1)
    found: NDArray[np.float64] = np.bincount(places, minlength=count) / len(values)
    return found


def distribution(
    name: str, title: str, description: str, positive: Units, negative: Units, *, low: float, top: float, threshold: int
) -> Markup:
    """Draw how the cosines of same answers and of near misses are distributed.

    Args:
        name: Unique in the document.
        title: What it is.
        description: What it says, for those who do not see it.
        positive: Cosines of same answers.
        negative: Cosines of near misses.
        low: Where the axis begins.
        top: The share at the top of the axis.
        threshold: Where the line is at first.
    """
    frame = Frame(low=low, top_value=top, left=4)
    parts = [frame.open(name, title, description), frame.axes("cosine", "share of pairs", y_ticks=False)]
    for kind, values in (("same", positive), ("miss", negative)):
        shares = histogram(values, low)
        outline: list[tuple[float, float]] = [(low, 0)]
        for index, share in enumerate(shares):
            outline += [(low + index / BINS_PER_UNIT, share), (low + (index + 1) / BINS_PER_UNIT, share)]
        outline.append((1, 0))
        parts.append(frame.line(outline, f"area {kind}"))
    parts += [frame.threshold(threshold), Markup("</svg>")]
    return Markup("").join(parts)


def thresholds_of(positive: Units, negative: Units) -> list[int]:
    """Return thresholds at which anything changes, from the highest; at most some 400, which eyes can't tell apart."""
    values = np.unique(np.concatenate([positive, negative]))[::-1]
    if len(values) > 400:
        values = values[np.linspace(0, len(values) - 1, 400).astype(int)]
    return [int(value) for value in values]


def roc_points(positive: Units, negative: Units) -> Points:
    """Return shares of near misses and of same answers that reach each threshold."""
    points: list[tuple[float, float]] = [(0.0, 0.0)]
    for threshold in thresholds_of(positive, negative):
        points.append((float((negative >= threshold).mean()), float((positive >= threshold).mean())))
    return points


def precision_points(positive: Units, negative: Units) -> Points:
    """Return the share of all pairs that hit, and the share of hits that are right, at each threshold."""
    points = []
    for threshold in thresholds_of(positive, negative):
        right, wrong = int((positive >= threshold).sum()), int((negative >= threshold).sum())
        points.append(((right + wrong) / (len(positive) + len(negative)), right / (right + wrong)))
    return points


def _two_models(
    name: str,
    title: str,
    description: str,
    labels: tuple[str, str],
    curves: tuple[Points, Points],
    at: Callable[[AtThreshold], tuple[float, float]],
    now: tuple[AtThreshold, AtThreshold],
    keys: tuple[str, str],
    below: Points,
) -> Markup:
    frame = Frame()
    parts = [frame.open(name, title, description), frame.axes(*labels, percent_x=True), frame.line(below, "guess")]
    parts += [frame.line(points, kind) for points, kind in zip(curves, ("before", "after"), strict=True)]
    parts += [
        frame.dot(model, *keys, at(found), kind)
        for model, (found, kind) in enumerate(zip(now, ("before", "after"), strict=True))
    ]
    return Markup("").join([*parts, Markup("</svg>")])


def roc_curve(
    description: str, pairs: tuple[tuple[Units, Units], tuple[Units, Units]], now: tuple[AtThreshold, AtThreshold]
) -> Markup:
    """Draw hits against wrong hits over all thresholds for both models."""
    return _two_models(
        "roc",
        "ROC: hit rate against wrong-hit rate",
        description,
        ("wrong-hit rate", "hit rate"),
        (roc_points(*pairs[0]), roc_points(*pairs[1])),
        lambda found: (found.wrong_hits / found.negatives, found.hits / found.positives),
        now,
        ("wrong_hit_rate", "hit_rate"),
        [(0, 0), (1, 1)],
    )


def precision_curve(
    description: str, pairs: tuple[tuple[Units, Units], tuple[Units, Units]], now: tuple[AtThreshold, AtThreshold]
) -> Markup:
    """Draw the share of hits that are right against the share of all pairs that hit."""
    share = len(pairs[0][0]) / (len(pairs[0][0]) + len(pairs[0][1]))

    def at(found: AtThreshold) -> tuple[float, float]:
        hits = found.hits + found.wrong_hits
        return hits / (found.positives + found.negatives), found.hits / hits if hits else 1.0

    return _two_models(
        "precision",
        "Precision against hit ratio",
        description,
        ("cache-hit ratio, all pairs", "precision of hits"),
        (precision_points(*pairs[0]), precision_points(*pairs[1])),
        at,
        now,
        ("hit_ratio", "precision"),
        [(0, share), (1, share)],
    )


def rates_curve(description: str, positive: Units, negative: Units, *, low: float, threshold: int) -> Markup:
    """Draw hit rate and wrong-hit rate of one model over the threshold."""
    frame = Frame(low=low)
    grid = range(round(low * UNIT), UNIT + 1, UNIT // 200)
    parts = [
        frame.open("rates", "Hit rate and wrong-hit rate by threshold", description),
        frame.axes("threshold", "share of pairs"),
    ]
    for kind, values in (("same", positive), ("miss", negative)):
        points = [(level / UNIT, float((values >= level).mean())) for level in grid]
        parts.append(frame.line(points, kind))
    parts += [frame.threshold(threshold), Markup("</svg>")]
    return Markup("").join(parts)


def latency_bars(count: str, engines: Sequence[tuple[str, float, float, float]], *, most: float) -> Markup:
    """Draw the milliseconds of each engine for one length.

    Args:
        count: Length in tokens.
        engines: Name, 5th percentile, median and 95th percentile.
        most: The milliseconds at the right end.
    """
    row, width, left = 40, 400, 0
    span = width - left - 92
    parts = [
        Markup('<svg class="bars" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            width,
            row * len(engines),
            f"{count} tokens: " + "; ".join(f"{name} {median:.2f} ms" for name, _, median, _ in engines),
        )
    ]
    for index, (name, low, median, high) in enumerate(engines):
        y = row * index
        kind = "ours" if name.startswith("cachelora") else "limit" if name == LIMIT else "peer"
        end = max(span * median / most, 1)
        parts.append(
            Markup(
                '<text class="tick" x="{}" y="{}">{}</text><rect class="bar {}" x="{}" y="{}" width="{}" height="12" '
                'rx="2"/><path class="whisker" d="M{} {}H{}"/><text class="value" x="{}" y="{}">{} ms</text>'
            ).format(
                left,
                y + 14,
                name,
                kind,
                left,
                y + 20,
                round(end, 2),
                round(left + span * low / most, 2),
                y + 26,
                round(left + span * min(high / most, 1), 2),
                round(left + span * max(median, min(high, most)) / most + 6, 2),
                y + 30,
                f"{median:.2f}",
            )
        )
    return Markup("").join([*parts, Markup("</svg>")])
