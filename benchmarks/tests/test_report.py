"""The report in a real browser: its figures, its texts, and whether everybody can use it."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cachelora.errors import UsageError
from cachelora_benchmarks.report.collect import Collected, Model, read_latency
from cachelora_benchmarks.report.figures import UNIT, percent, threshold_for, to_units, wrong_hits_at_hits
from cachelora_benchmarks.report.write import decision, page, shown_figures, sides_of, signed, write_report
from cachelora_training.errors import RowsError
from cachelora_training.evaluate.pairs import Pairs, read_pairs

HOSTILE = [
    "</script><script>document.title = 'owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "<!-- <script> ]]> &amp; \u2028 ${threshold} {{ 7 * 7 }} $data",
    '" autofocus onfocus="document.title=\'owned\'" x="',
]
WIDTH_OF_A_PHONE = 360


def rows(count: int) -> list[dict[str, object]]:
    """Triplets, and labelled pairs of one domain with more near misses than same answers."""
    texts = [
        (
            f"{HOSTILE[number % 4]} {number}",
            f"same {HOSTILE[(number + 1) % 4]} {number}",
            f"other {HOSTILE[(number + 2) % 4]} {number} {'unbroken' * 30 if number == 1 else ''}",
        )
        for number in range(count)
    ]
    found: list[dict[str, object]] = [
        {
            "anchor": anchor,
            "positive": positive,
            "negative": negative,
            "domain": ("law", "all", "<b>x</b>")[number % 3],
            "kind": ("number", "part_whole")[number % 2],
        }
        for number, (anchor, positive, negative) in enumerate(texts)
    ]
    # Their anchors come again, as a bound must notice.
    for number, (anchor, _, _) in enumerate(texts[:40]):
        found.append({"a": anchor, "b": f"lone {number}", "label": int(number % 4 == 0), "domain": "lone"})
    return found


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Pairs:
    # The directory of it is nobody's business.
    path = tmp_path_factory.mktemp("private") / "law" / "test.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(160)), encoding="utf-8")
    return read_pairs([str(path)])


@pytest.fixture(scope="module")
def collected(pairs) -> Collected:
    random = np.random.default_rng(7)

    def cosines(positive: float, negative: float) -> np.ndarray:
        means = np.where(pairs.label == 1, positive, negative)
        return random.normal(means, 0.1).clip(-1, 1).astype("f4")

    entry = {"max_false_hit_rate": 0.05, "threshold": 0.8, "negatives": 160, "false_hits": 3, "positives": 160}
    return Collected(
        pairs=pairs,
        models=(
            Model("Base model", "<i>base</i>", cosines(0.7, 0.68), [("weights", "ab" * 32)]),
            Model("Bundle", "tuned</title>", cosines(0.85, 0.6), [("seed", "0")]),
        ),
        data=[{"name": "law/test.jsonl", "sha256": "cd" * 32, "rows": len(pairs.rows)}],
        calibration={
            "method": "fixed-sequence exact binomial",
            "confidence": 0.95,
            "data": [{"sha256": "cd" * 32}],
            "domains": {"all": [entry | {"false_hit_rate_upper": 0.047, "hit_rate": 0.7}]},
            "not_calibrated": [{"domain": "law", "max_false_hit_rate": 0.01, "reason": "few", "negatives_needed": 299}],
        },
        latency={
            "latency": {
                "8": {"<u>peer": {"p5": 4, "median": 5, "p95": 9}, "cachelora": {"p5": 1, "median": 2, "p95": 3}}
            }
        },
        versions={"Python": "3"},
    )


def units(collected: Collected):
    return tuple(sides_of(collected.pairs, model.cosines) for model in collected.models)


# --- the arithmetic -------------------------------------------------------------------------------------------------


def test_units_decide_as_cosines_do():
    cosines = np.array([0.985, 0.98499, 0.9850001, -0.25, 1.0, 0.99999994], dtype="f4")
    for threshold in (0.985, 0.99, 1.0, -0.25):
        assert (to_units(cosines) >= round(threshold * UNIT)).tolist() == (cosines >= threshold - 1e-7).tolist()


def test_halves_of_a_tenth_are_rounded_up():
    assert percent(5, 80).replace("\u202f", " ") == "6.3 %"
    assert percent(0, 0) == "–"
    assert percent(3, 3).startswith("100.0")


def test_wrong_hits_at_the_same_hits():
    positive, negative = np.array([9, 7, 5]), np.array([8, 6, 1])
    assert [wrong_hits_at_hits(positive, negative, hits) for hits in range(4)] == [0, 0, 1, 2]


def test_the_slider_begins_at_the_lowest_threshold_within_the_rate():
    negative = to_units(np.linspace(0, 0.99, 100).astype("f4"))
    found = threshold_for(negative, 0.05)
    assert (negative >= found).mean() <= 0.05 < (negative >= found - 100).mean()


def test_a_bound_counts_pairs_without_a_common_question(collected, pairs):
    """160 near misses of the triplets, and 30 more of which each has an anchor in common with one of those."""
    assert (pairs.label == 0).sum() == 190
    shown = shown_figures(pairs, *units(collected), UNIT)["after.bound"]
    # None of them reaches 1, so the bound is a matter of their number alone.
    assert shown.startswith(f"{100 * (1 - 0.05 ** (1 / 160)):.1f}")


def test_numbers_have_one_form(collected):
    html, _ = page(collected)
    assert re.search(r"calibrated: at most 5\u202f% wrong hits, 95\u202f% confidence", html)
    assert (signed(-0.0423), signed(0.5), signed(None)) == ("\u22120.042", "+0.500", "–")
    # Half of a per cent is not none.
    strict = copy.deepcopy(collected.calibration)
    strict["domains"]["all"][0]["max_false_hit_rate"] = 0.005
    assert "at most 0.5\u202f% wrong" in page(dataclasses.replace(collected, calibration=strict))[0]


def test_the_limit_is_explained_and_no_peer(collected):
    assert "dashed bar" not in page(collected)[0]
    engines = {**collected.latency["latency"]["8"], "limit": {"p5": 1, "median": 1, "p95": 1}}
    html, _ = page(dataclasses.replace(collected, latency={"latency": {"8": engines}}))
    assert "The dashed bar is a limit" in html
    assert html.count('class="bar limit"') == 1


def test_groups_without_near_misses_have_no_margin(collected, pairs):
    chosen = np.where(pairs.domain == "lone", pairs.label == 1, True)
    columns = {
        field.name: np.array(value)[chosen] if len(value := getattr(pairs, field.name)) == len(pairs) else value
        for field in dataclasses.fields(pairs)
    }
    models = tuple(dataclasses.replace(model, cosines=model.cosines[chosen]) for model in collected.models)
    html, facts = page(dataclasses.replace(collected, pairs=Pairs(**columns), models=models))
    assert re.search(r'<th scope="row">lone</th><td>10</td><td>–</td><td>–</td>', html)
    assert (facts["positives"], facts["negatives"]) == (170, 160)
    assert "51.5" in re.findall(r"([\d.]+)\u202f% of these pairs should hit", html)


# --- the file -------------------------------------------------------------------------------------------------------


def test_the_page_has_no_address_directory_or_date_and_is_the_same_twice(collected):
    html, _ = page(collected)
    assert html == page(collected)[0]
    assert "private" not in html
    assert "law/test.jsonl:" in html
    assert re.findall(r"(?:https?:)?//[a-z]", html) == []


@pytest.fixture(scope="module")
def tiny() -> Path:
    """Base model, adapter and bundle that `python tests/tiny_bundle.py DIRECTORY` wrote; `make test` names them."""
    return Path(os.environ["CACHELORA_TEST_TINY"])


def test_a_bundle_and_an_adapter_give_the_same_report(tiny, tmp_path):
    texts = ["how can i reset my password", "what is my card", "the way to change"]
    rows = tmp_path / "test.jsonl"
    rows.write_text(
        "".join(
            json.dumps({"anchor": text, "positive": f"{text} again", "negative": f"not {text}"}) + "\n"
            for text in texts
        ),
        encoding="utf-8",
    )
    served = write_report([str(rows)], tmp_path / "a.html", bundle=tiny / "bundle", base_model=str(tiny / "base"))
    tuned = write_report([str(rows)], tmp_path / "b.html", base_model=str(tiny / "base"), adapter=str(tiny / "adapter"))
    assert served["positives"] == served["negatives"] == tuned["negatives"] == 3
    cosines = [
        json.loads(re.findall(r'id="data">(.*?)</script>', (tmp_path / name).read_text(encoding="utf-8"))[0])["models"]
        for name in ("a.html", "b.html")
    ]
    for model in ("before", "after"):
        for side in ("positive", "negative"):
            assert np.abs(np.subtract(cosines[0][model][side], cosines[1][model][side])).max() <= 2


def test_what_can_not_be_reported_says_why(tiny, tmp_path):
    with pytest.raises(UsageError, match="--bundle or --adapter"):
        write_report(["x.jsonl"], tmp_path / "a.html", base_model=str(tiny / "base"))
    for where, why in ((tmp_path, "is a directory"), (Path(__file__) / "a.html", "can't be written")):
        with pytest.raises(UsageError, match=why):
            write_report(["x.jsonl"], where, bundle=tiny / "bundle")
    alike = tmp_path / "alike.jsonl"
    alike.write_text(json.dumps({"a": "one", "b": "two", "label": 1}))
    with pytest.raises(RowsError, match="none of 1 pairs has another answer"):
        write_report([str(alike)], tmp_path / "a.html", bundle=tiny / "bundle", base_model=str(tiny / "base"))
    other = tmp_path / "other.json"
    other.write_text('{"latency": {"8": {"ours": {"median": 1}}}}')
    with pytest.raises(UsageError, match=r"other\.json.*p5.*bench latency"):
        read_latency(other)


# --- in the browser -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium on this machine; on Debian: apt-get install chromium")
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def file(collected, tmp_path_factory) -> Path:
    path: Path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page(collected)[0], encoding="utf-8")
    return path


@pytest.fixture
def open_page(browser, file) -> Iterator:
    """Open the report; whatever the test does, nothing may be asked of a network or complained about."""
    contexts, requests, complaints = [], [], []

    def open_with(path: Path = file, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        context.on("request", lambda request: requests.append(request.url))
        context.on("console", lambda message: complaints.append(message.text))
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        opened = context.new_page()
        opened.goto(path.as_uri())
        return opened

    yield open_with
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


def settle(opened) -> None:
    """Wait for the frame after the next, in which what was asked for is shown."""
    opened.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def figures_of(opened) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, text in opened.eval_on_selector_all(
        "[data-figure]", "all => all.map(one => [one.dataset.figure, one.textContent])"
    ):
        found.setdefault(name, set()).add(text)
    return found


@pytest.mark.parametrize("script", [True, False])
def test_without_a_script_the_first_figures_are_there(open_page, collected, script):
    opened = open_page(java_script_enabled=script)
    if script:
        settle(opened)
        found = figures_of(opened)
    else:
        found = {}
        for one in opened.locator("[data-figure]").all():
            found.setdefault(one.get_attribute("data-figure"), set()).add(one.text_content())
        assert opened.locator("#threshold").is_disabled()
        assert opened.locator("noscript").count() == 1
    expected = shown_figures(collected.pairs, *units(collected), 80_000)
    assert len(found) > 10
    assert found == {name: {expected[name]} for name in found}


def test_every_figure_follows_the_slider_and_equals_pythons(open_page, collected):
    opened = open_page()
    before = figures_of(opened)
    low = int(opened.locator("#threshold").get_attribute("min"))
    for threshold in (low, 55_500, 71_300, 80_100, 93_000, UNIT):
        opened.locator("#threshold").fill(str(threshold))
        settle(opened)
        expected = shown_figures(collected.pairs, *units(collected), threshold)
        found = figures_of(opened)
        assert found == {name: {expected[name]} for name in before}
        for cosine, same, kind, words in opened.eval_on_selector_all(
            "[data-cosine]",
            "all => all.map(e => [+e.dataset.cosine, e.dataset.same === '1', e.dataset.decision, e.textContent])",
        ):
            assert (kind, words) == decision(cosine, same, threshold)
        # The line of the first chart lies where its axis says.
        left, span, start, end, moved = opened.eval_on_selector(
            "svg:has(.at-threshold)",
            "e => [+e.dataset.left, +e.dataset.span, +e.dataset.low, +e.dataset.high, "
            "+e.querySelector('.at-threshold').getAttribute('transform').match(/[\\d.]+/)[0]]",
        )
        assert moved == pytest.approx(left + span * (threshold / UNIT - start) / (end - start), abs=0.01)
        # And the dot of the ROC curve where the rates say.
        positive, negative = units(collected)[1]
        across, height = opened.eval_on_selector(
            "circle[data-model='1'][data-y='hit_rate']",
            "e => { const s = e.closest('svg').dataset; "
            "return [(e.getAttribute('cx') - s.left) / s.span, 1 - (e.getAttribute('cy') - s.top) / s.rise] }",
        )
        assert across == pytest.approx((negative >= threshold).mean(), abs=1e-3)
        assert height == pytest.approx((positive >= threshold).mean(), abs=1e-3)


def test_hostile_texts_stay_texts(open_page, collected):
    opened = open_page()
    settle(opened)
    assert opened.title() == "How safe is this cache? tuned</title>"
    assert opened.locator("script").count() == 2
    assert opened.locator("img, i, u, [onerror], [onfocus]").count() == 0
    shown = set(opened.locator(".texts p:first-child").all_text_contents())
    assert shown <= set(collected.pairs.first)
    assert {text.rpartition(" ")[0] for text in shown} >= set(HOSTILE[:2])


@pytest.mark.parametrize("width", [320, WIDTH_OF_A_PHONE, 768])
def test_nothing_is_wider_than_the_window(open_page, width):
    opened = open_page(viewport={"width": width, "height": 740})
    for summary in opened.locator("summary").all():
        summary.click()
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    assert (
        opened.eval_on_selector_all(
            "table, ul, svg, p, h1, h2, h3, dl, input",
            f"all => all.filter(e => e.getBoundingClientRect().right > {width} + 0.5 && e.getClientRects().length).map("
            "e => e.outerHTML.slice(0, 90))",
        )
        == []
    )


def test_neighbouring_charts_stand_side_by_side(open_page):
    opened = open_page(viewport={"width": 1280, "height": 900})
    tops = opened.eval_on_selector_all(
        "[aria-labelledby=tradeoffs] svg", "all => all.map(e => Math.round(e.getBoundingClientRect().top))"
    )
    assert len(tops) == 3
    assert len(set(tops)) == 1


# Relative luminance and contrast as WCAG 2 defines them.
CONTRASTS = """() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
  const poor = [];
  for (const e of document.querySelectorAll('body *')) {
    if (!e.getClientRects().length || ![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const style = getComputedStyle(e);
    const [a, b] = [light(parse(e.closest('svg') ? style.fill : style.color)), light(behind(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) poor.push(e.outerHTML.slice(0, 80));
  }
  return poor;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_schemes_have_contrast(open_page, scheme):
    opened = open_page(color_scheme=scheme)
    red, *_ = map(int, re.findall(r"\d+", opened.evaluate("getComputedStyle(document.body).backgroundColor")))
    assert (red > 200) == (scheme == "light")
    assert opened.evaluate(CONTRASTS) == []


def test_the_keyboard_reaches_and_moves_everything(open_page):
    opened = open_page()
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.className") == "skip"
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.id") == "threshold"
    opened.keyboard.press("ArrowRight")
    settle(opened)
    assert opened.locator("#threshold-number").input_value() == "0.801"
    assert opened.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    opened.keyboard.press("Tab")
    opened.keyboard.press("Control+A")
    opened.keyboard.type("0.9")
    settle(opened)
    assert opened.locator("#threshold").input_value() == "90000"
    opened.get_by_role("button", name="Use threshold 0.800 of all").focus()
    opened.keyboard.press("Enter")
    settle(opened)
    assert opened.locator("#threshold").input_value() == "80000"
    assert opened.locator("#threshold-number").input_value() == "0.800"


def test_a_screen_reader_hears_what_there_is(open_page):
    opened = open_page()
    slider = opened.get_by_role("slider", name="Threshold", exact=True)
    slider.press("ArrowLeft")
    settle(opened)
    assert re.fullmatch(
        r"0\.799\. Hit rate [\d.]+\u202f%, wrong hits [\d.]+\u202f%", slider.get_attribute("aria-valuetext")
    )
    opened.get_by_role("status").get_by_text("Threshold 0.799.").wait_for(timeout=5000)
    for name in (
        "ROC",
        "Precision against hit ratio",
        "Hit rate and wrong-hit rate by threshold",
        "Bundle: cosines",
        "8 tokens",
    ):
        opened.get_by_role("img", name=name).wait_for(timeout=5000)
    for name in ("By domain", "By kind of near miss", "Calibrated thresholds"):
        opened.get_by_role("table", name=name, exact=True).wait_for(timeout=5000)
    assert opened.get_by_role("list", name="Example decisions").get_by_role("listitem").count() == 12
    assert opened.get_by_role("main").count() == 1
    assert opened.get_by_role("heading", level=1).count() == 1
    identifiers = opened.eval_on_selector_all("[id]", "all => all.map(e => e.id)")
    assert len(identifiers) == len(set(identifiers))


def test_without_calibration_and_latency(open_page, collected, tmp_path):
    path = tmp_path / "plain.html"
    path.write_text(page(dataclasses.replace(collected, calibration=None, latency=None))[0], encoding="utf-8")
    opened = open_page(path)
    settle(opened)
    assert "nothing was calibrated" in opened.locator(".hint").inner_text()
    assert opened.locator("#latency").count() == 0
