"""From measured cosines to the HTML file."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from cachelora.directories import check_output_file, write_text_atomically
from cachelora_training.calibration import without_common_questions
from cachelora_training.evaluate.pairs import Pairs
from cachelora_training.measures import ALL_DOMAINS, Floats
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape
from numpy.typing import NDArray

from cachelora_benchmarks.report import charts
from cachelora_benchmarks.report.collect import Collected, collect
from cachelora_benchmarks.report.figures import (
    NARROW,
    STEP,
    UNIT,
    AtThreshold,
    Separation,
    Units,
    at_threshold,
    highest_bound,
    percent,
    separation,
    threshold_for,
    to_units,
    wrong_hits_at_hits,
)

__all__ = ["decision", "page", "shown_figures", "write_report"]

# Where the slider begins when nothing was calibrated: wrong hits on at most this share of near misses.
DEFAULT_WRONG_HIT_RATE = 0.05
EXAMPLES_PER_SIDE = 6
MISTAKES_PER_SIDE = 10

# Cosines of same answers, and of near misses.
Sides = tuple[Units, Units]


def write_report(
    test_data: Sequence[str],
    output: Path,
    *,
    bundle: Path | None = None,
    base_model: str | None = None,
    adapter: str | None = None,
    latency: Path | None = None,
) -> dict[str, Any]:
    """Measure and write the file; return its main figures. Arguments and errors: see :func:`collect.collect`."""
    check_output_file(output)
    collected = collect(test_data, bundle=bundle, base_model=base_model, adapter=adapter, latency=latency)
    html, facts = page(collected)
    write_text_atomically(output, html)
    return {"output": str(output)} | facts


def page(collected: Collected) -> tuple[str, dict[str, Any]]:
    """Return the HTML text, and the figures at the threshold where its slider begins."""
    pairs = collected.pairs
    before, after = (sides_of(pairs, model.cosines) for model in collected.models)
    threshold, reason = _first_threshold(collected.calibration, after)
    now = (at_threshold(*before, threshold), at_threshold(*after, threshold))
    low = np.floor(min(values.min() for values in (*before, *after)) / UNIT * 10) / 10
    low = float(min(max(low, -1.0), 0.9))
    script = _text("report.js")
    style = _text("report.css")
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    html = template.from_string(_text("report.html")).render(
        models=collected.models,
        style=Markup(style),
        script=Markup(script),
        style_hash=_content_hash(style),
        script_hash=_content_hash(script),
        data=_embedded(_payload(pairs, before, after, threshold)),
        threshold=threshold,
        reason=reason,
        unit=UNIT,
        step=STEP,
        slider_low=round(low * UNIT),
        figures=shown_figures(pairs, before, after, threshold),
        measures=_measures(collected),
        counts=now[1],
        charts=_charts(collected, before, after, now, threshold, low),
        rate_rows=_rate_rows(before, after, low),
        examples=_examples(pairs, before, after),
        worst=_mistakes(pairs, before, after),
        calibration=collected.calibration,
        same_rows=_calibrated_on_these(collected),
        latency=_latency(collected.latency),
        collected=collected,
        percent=percent,
        signed=signed,
        has_limit=any(charts.LIMIT in found for found in (collected.latency or {}).get("latency", {}).values()),
        decision=lambda pair: decision(pair.cosine, pair.same, threshold),
    )
    found = now[1]
    return html, {
        "positives": found.positives,
        "negatives": found.negatives,
        "threshold": threshold / UNIT,
        "hit_rate": found.hits / found.positives,
        "wrong_hit_rate": found.wrong_hits / found.negatives,
    }


def sides_of(pairs: Pairs, cosines: Floats) -> Sides:
    """Return the cosines of same answers and of near misses, in units."""
    return to_units(cosines[pairs.label == 1]), to_units(cosines[pairs.label == 0])


@dataclass(frozen=True)
class Pair:
    """Two questions and what the models say about them: cosines in units, ``same`` if one answer serves both."""

    stored: str
    asked: Markup
    same: bool
    before: int
    cosine: int
    domain: str
    kind: str
    source: str


def decision(cosine: int, same: bool, threshold: int) -> tuple[str, str]:
    """Return class and words of what a cache does with a pair."""
    if cosine >= threshold:
        return ("right", "✓ hit") if same else ("wrong", "✕ wrong hit")
    return ("missed", "○ missed hit") if same else ("apart", "✓ kept apart")


def signed(value: float | None) -> str:
    """Return a margin with its sign, a true minus where it is negative; a dash where there is none."""
    return "–" if value is None else f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")


def _first_threshold(calibration: dict[str, Any] | None, after: Sides) -> tuple[int, str]:
    found = [] if calibration is None else calibration.get("domains", {}).get(ALL_DOMAINS, [])
    if calibration is not None and found:
        strictest = min(found, key=lambda entry: float(entry["max_false_hit_rate"]))
        return round(strictest["threshold"] * UNIT), (
            f"calibrated: at most {100 * strictest['max_false_hit_rate']:g}{NARROW}% wrong hits, "
            f"{100 * calibration['confidence']:g}{NARROW}% confidence"
        )
    return threshold_for(after[1], DEFAULT_WRONG_HIT_RATE), (
        f"lowest with at most {100 * DEFAULT_WRONG_HIT_RATE:g}{NARROW}% wrong hits on these rows; "
        "nothing was calibrated"
    )


def _groups(pairs: Pairs) -> dict[str, tuple[list[str], tuple[NDArray[np.str_], NDArray[np.str_]]]]:
    """Return, for each grouping of the tables, its names, sorted, and the names of either side's pairs."""
    return {
        key: (
            sorted({str(name) for name in getattr(pairs, key)}),
            (getattr(pairs, key)[pairs.label == 1], getattr(pairs, key)[pairs.label == 0]),
        )
        for key in ("domain", "kind")
    }


def _counted(pairs: Pairs) -> NDArray[np.int64]:
    """Return the places, among near misses, of those without a common question, which a binomial bound may count."""
    miss = pairs.label == 0
    return without_common_questions(pairs.anchor[miss], pairs.partner[miss], seed=0)


def _payload(pairs: Pairs, before: Sides, after: Sides, threshold: int) -> dict[str, Any]:
    return {
        "unit": UNIT,
        "threshold": threshold,
        "groups": {
            key: {
                "names": names,
                **{
                    side: np.searchsorted(names, labels).tolist()
                    for side, labels in zip(("positive", "negative"), of_sides, strict=True)
                },
            }
            for key, (names, of_sides) in _groups(pairs).items()
        },
        "counted": _counted(pairs).tolist(),
        "models": {
            name: {"positive": sides[0].tolist(), "negative": sides[1].tolist()}
            for name, sides in (("before", before), ("after", after))
        },
    }


def shown_figures(pairs: Pairs, before: Sides, after: Sides, threshold: int) -> dict[str, str]:
    """Return every figure that follows the slider, as it is shown, by its name in the page.

    Names are ``model.group.figure``: ``after.all.hit_rate``, ``before.domain.0.wrong_hit_rate``.
    """
    members = {"all": (np.ones(len(before[0]), dtype=bool), np.ones(len(before[1]), dtype=bool))}
    for key, (names, (same, miss)) in _groups(pairs).items():
        members |= {f"{key}.{index}": (same == name, miss == name) for index, name in enumerate(names)}
    shown: dict[str, str] = {"threshold": f"{threshold / UNIT:.3f}"}
    for model, (positive, negative) in (("before", before), ("after", after)):
        for group, (same, miss) in members.items():
            found = at_threshold(positive[same], negative[miss], threshold)
            hits = found.hits + found.wrong_hits
            shown |= {
                f"{model}.{group}.hit_rate": percent(found.hits, found.positives),
                f"{model}.{group}.wrong_hit_rate": percent(found.wrong_hits, found.negatives),
                f"{model}.{group}.hits": str(found.hits),
                f"{model}.{group}.wrong_hits": str(found.wrong_hits),
                f"{model}.{group}.precision": percent(found.hits, hits),
                f"{model}.{group}.hit_ratio": percent(hits, found.positives + found.negatives),
            }
    found = at_threshold(*after, threshold)
    counted = after[1][_counted(pairs)]
    bound = highest_bound(int((counted >= threshold).sum()), len(counted))
    shown["after.bound"] = f"{100 * bound:.1f}{NARROW}%"
    shown["before.at_same_hits"] = percent(wrong_hits_at_hits(*before, found.hits), found.negatives)
    return shown


def _measures(collected: Collected) -> dict[str, list[tuple[str, Separation, Separation]]]:
    """Return the measures before and after by group: of all pairs, by domain, by kind."""
    same, miss = (collected.pairs.label == label for label in (1, 0))

    def of(members: NDArray[np.bool_]) -> tuple[Separation, Separation]:
        one, other = (
            separation(model.cosines[members & same], model.cosines[members & miss]) for model in collected.models
        )
        return one, other

    found = {"all": [("all", *of(np.ones(len(same), dtype=bool)))]}
    for key, (names, _) in _groups(collected.pairs).items():
        found[key] = [(name, *of(getattr(collected.pairs, key) == name)) for name in names]
    return found


def _charts(
    collected: Collected, before: Sides, after: Sides, now: tuple[AtThreshold, AtThreshold], threshold: int, low: float
) -> dict[str, Markup]:
    top = max(charts.histogram(values, low).max() for values in (*before, *after)) * 1.08
    drawn: dict[str, Markup] = {}
    for name, model, pairs in zip(("before", "after"), collected.models, (before, after), strict=True):
        same, miss = (values.mean() / UNIT for values in pairs)
        drawn[name] = charts.distribution(
            f"distribution-{name}",
            f"{model.role}: cosines of same answers and near misses",
            f"Same answers have a mean cosine of {same:.3f}, near misses of {miss:.3f}.",
            *pairs,
            low=low,
            top=top,
            threshold=threshold,
        )
    measures = _measures(collected)["all"][0][1:]
    drawn["roc"] = charts.roc_curve(
        f"Area under the curve: base model {measures[0].roc_auc:.3f}, tuned {measures[1].roc_auc:.3f}. "
        "The dots are at the chosen threshold.",
        (before, after),
        now,
    )
    drawn["precision"] = charts.precision_curve(
        f"Average precision: base model {measures[0].average_precision:.3f}, tuned "
        f"{measures[1].average_precision:.3f}. The dots are at the chosen threshold.",
        (before, after),
        now,
    )
    drawn["rates"] = charts.rates_curve(
        "Of the tuned model. Both rates fall as the threshold rises; the table below has the figures.",
        *after,
        low=low,
        threshold=threshold,
    )
    return drawn


def _rate_rows(before: Sides, after: Sides, low: float) -> list[tuple[str, AtThreshold, AtThreshold]]:
    """Return what happens at thresholds in steps of 0.05, from the highest: the charts as a table."""
    levels = range(UNIT, round(low * UNIT) - 1, -UNIT // 20)
    return [(f"{level / UNIT:.2f}", at_threshold(*before, level), at_threshold(*after, level)) for level in levels]


def _pair(pairs: Pairs, before: Sides, after: Sides, index: int, same: bool) -> Pair:
    """Return the pair at a place among those of its label."""
    number, side = int(np.flatnonzero(pairs.label == int(same))[index]), 0 if same else 1
    place, _, line = pairs.source[number].rpartition(":")
    stored, asked = pairs.first[number], pairs.second[number]
    return Pair(
        stored=stored,
        asked=Markup(escape(asked)) if same else _changed(stored, asked),
        same=same,
        before=int(before[side][index]),
        cosine=int(after[side][index]),
        domain=str(pairs.domain[number]),
        kind=str(pairs.kind[number]).replace("_", " "),
        # A machine's directories are nobody else's business.
        source=f"{place if place.startswith('hf://') else '/'.join(Path(place).parts[-2:])}:{line}",
    )


def _changed(anchor: str, near_miss: str) -> Markup:
    """Return the near miss with the words marked that the question does not have."""
    known = set(re.findall(r"\w+", anchor.lower()))
    parts = re.split(r"(\w+)", near_miss)
    marked = Markup("").join(
        Markup("<mark>{}</mark>").format(part) if index % 2 and part.lower() not in known else escape(part)
        for index, part in enumerate(parts)
    )
    # Neighbouring words share one mark.
    return Markup(str(marked).replace("</mark> <mark>", " "))


def _examples(pairs: Pairs, before: Sides, after: Sides) -> list[Pair]:
    """Return pairs from the most to the least similar, evenly over same answers and near misses."""
    chosen = []
    for same, values in ((True, after[0]), (False, after[1])):
        order = np.argsort(values, kind="stable")
        places = np.linspace(0, len(order) - 1, min(EXAMPLES_PER_SIDE, len(order)) + 2)[1:-1].round().astype(int)
        chosen += [_pair(pairs, before, after, int(order[place]), same) for place in dict.fromkeys(places)]
    return sorted(chosen, key=lambda pair: -pair.cosine)


def _mistakes(pairs: Pairs, before: Sides, after: Sides) -> dict[str, list[Pair]]:
    """Return the near misses that look most alike, and the same answers that look least alike."""
    near = np.argsort(-after[1], kind="stable")[:MISTAKES_PER_SIDE]
    far = np.argsort(after[0], kind="stable")[:MISTAKES_PER_SIDE]
    return {
        "near": [_pair(pairs, before, after, int(index), False) for index in near],
        "far": [_pair(pairs, before, after, int(index), True) for index in far],
    }


def _calibrated_on_these(collected: Collected) -> bool:
    """Say whether a file that was calibrated on is among the test files: its figures would flatter."""
    calibrated = {file.get("sha256") for file in (collected.calibration or {}).get("data", [])}
    return any(file["sha256"] in calibrated for file in collected.data)


def _latency(facts: dict[str, Any] | None) -> list[dict[str, Any]]:
    if facts is None:
        return []
    shown = []
    for count, engines in facts["latency"].items():
        bars = [
            (str(name), float(found["p5"]), float(found["median"]), float(found["p95"]))
            for name, found in engines.items()
        ]
        # Each length has its own scale: engines are compared there, and one scale would make short texts' bars dots.
        most = max(float(found["median"]) for found in engines.values()) * 1.1
        shown.append({"tokens": count, "bars": bars, "chart": charts.latency_bars(str(count), bars, most=most)})
    return shown


def _embedded(payload: dict[str, Any]) -> Markup:
    """Return JSON that no HTML parser takes for a tag."""
    text = json.dumps(payload, separators=(",", ":"), ensure_ascii=True)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _content_hash(text: str) -> str:
    """Return what a content security policy calls this inline text by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _text(name: str) -> str:
    return (files("cachelora_benchmarks.report") / name).read_text(encoding="utf-8")
