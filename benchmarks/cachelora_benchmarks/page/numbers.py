"""How a figure is written: the page and the README write it the same way."""

from __future__ import annotations

import math
from collections.abc import Mapping

__all__ = ["engines_of_margin", "fixed", "number", "spread_of", "times"]

SIGNIFICANT = 3


def number(value: float) -> str:
    """Return three significant digits, never an exponent: 0.0123, 1.23, 12.3, 1234."""
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    text = f"{value:.{max(0, SIGNIFICANT - 1 - magnitude)}f}"
    # 9.996 has become 10.00, one digit more than is meant.
    carried = math.floor(math.log10(abs(float(text)))) > magnitude
    return f"{value:.{max(0, SIGNIFICANT - 2 - magnitude)}f}" if carried else text


def spread_of(found: Mapping[str, float]) -> str:
    """Return a median with its 5th and 95th percentile."""
    return f"{number(found['median'])} ({number(found['p5'])} to {number(found['p95'])})"


def times(found: Mapping[str, float]) -> str:
    """Return the median of a ratio."""
    return f"{found['median']:.2f}"


def fixed(value: float) -> str:
    """Return a margin or an area, which lie between -2 and 2."""
    return f"{value:.3f}"


def engines_of_margin(names: list[str]) -> tuple[str, str]:
    """Return the names of the base model and of the bundle as it is served: the first measured and the last."""
    return names[0], names[-1]
