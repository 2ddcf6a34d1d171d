from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from cachelora import Embedder
from cachelora.cli import main
from cachelora.errors import NotCalibratedError, UsageError
from cachelora_training.calibrate import record_calibration
from cachelora_training.evaluate import evaluate_models
from cachelora_training.evaluate.compare import compare_results, read_results
from cachelora_training.evaluate.compare_tables import compare_markdown
from cachelora_training.evaluate.figures import Settings
from cachelora_training.evaluate.quick_look import BUILT_IN, look

SETTINGS = Settings(seed=3, resamples=200)


@pytest.fixture(scope="module")
def test_file(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("data") / "test.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(24)))
    return str(path)


@pytest.fixture(scope="module")
def results(base, adapter, test_file):
    return evaluate_models(str(base), [str(adapter)], [test_file], settings=SETTINGS)


def command(monkeypatch, capsys, *arguments: object) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["cachelora", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_what_evaluate_compared_is_found_again(results):
    found = compare_results(results, results, model_a="base")
    assert (found["a"]["role"], found["b"]["role"]) == ("base", "adapter")
    expected = {(one["group"], one["measure"]): one for one in results["comparisons"]}
    for one in found["comparisons"]:
        same = expected[one["group"], one["measure"]]
        assert (one["a_value"], one["b_value"]) == (same["a_value"], same["b_value"])
        # Same seed and unit of resampling: the very same intervals, and Holm over the same family.
        assert one["interval"] == same["interval"]
        assert one["p_holm"] == same["p_holm"]
    assert len(found["comparisons"]) == len(expected) == 9


def test_a_model_beside_itself_and_the_other_way_round(results):
    itself = compare_results(results, results)
    assert all(one["difference"] == 0 and not one["significant"] for one in itself["comparisons"])
    there = compare_results(results, results, model_a="base")
    back = compare_results(results, results, model_b="base")
    for one, other in zip(there["comparisons"], back["comparisons"], strict=True):
        assert one["difference"] == pytest.approx(-other["difference"])
        assert one["p_value"] == other["p_value"]
        assert one["significant"] == other["significant"]


def test_a_better_model_is_called_better(results):
    """Cosines of the adapter, made right for every pair."""
    better = json.loads(json.dumps(results))
    label = np.array(better["pairs"]["label"])
    model = better["models"][1]
    model["cosines"] = np.where(label == 1, 0.9, 0.1).tolist()
    for found in model["by_domain"].values():
        found["margin"], found["roc_auc"] = 0.8, 1.0
    found = compare_results(results, better)
    margins = [one for one in found["comparisons"] if one["measure"] == "margin"]
    assert len(margins) == 3
    assert all(one["significant"] and one["interval"][0] > 0 for one in margins)
    assert "| better |" in compare_markdown(found)
    assert "WORSE" in compare_markdown(compare_results(better, results))


def test_results_of_other_rows_are_refused(results, base, write, rows):
    other = evaluate_models(str(base), [], [write("other.jsonl", rows(20))], settings=SETTINGS)
    with pytest.raises(UsageError, match="different rows") as caught:
        compare_results(results, other)
    assert "other.jsonl" in str(caught.value)
    with pytest.raises(UsageError, match=r"there are: .*\(base\)"):
        compare_results(results, results, model_a="nobody")


def test_what_is_no_result(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        read_results(tmp_path / "none.json")
    for content, said in (("{", "expected"), ("[]", "schema_version"), ('{"schema_version": "1.0"}', "models")):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(UsageError, match=said):
            read_results(tmp_path / "bad.json")


def test_markdown_is_a_table_that_agrees_with_the_figures(results, tmp_path, monkeypatch, capsys):
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results))
    code, out, _ = command(monkeypatch, capsys, "compare", path, path, "--model-a", "base", "--markdown")
    assert code == 0
    tables = [block.splitlines() for block in out.split("\n\n") if block.startswith("|")]
    for lines in tables:
        assert len({line.count("|") for line in lines}) == 1
    margin = next(line for line in tables[0] if line.startswith("| all | margin"))
    for model in results["models"]:
        assert f"{model['by_domain']['all']['margin']:.4f}" in margin
    assert "base" in command(monkeypatch, capsys, "compare", path, path, "--model-a", "base")[1]


def test_two_models_are_measured_and_compared(adapter, base, bundle, test_file, monkeypatch, capsys):
    arguments = ["--test-file", test_file, "--base-model", base, "--resamples", 100, "--json"]
    code, out, _ = command(monkeypatch, capsys, "compare", adapter, bundle, *arguments)
    assert code == 0
    facts = json.loads(out)
    assert (facts["a"]["role"], facts["b"]["role"]) == ("adapter", "bundle")
    # The bundle is the adapter, merged and in int8: nearly equal.
    assert all(abs(one["difference"]) < 0.1 for one in facts["comparisons"] if one["measure"] == "margin")
    code, _, error = command(monkeypatch, capsys, "compare", adapter, bundle)
    assert code == 1
    assert "--test-file" in error
    assert command(monkeypatch, capsys, "compare", Path(test_file).parent, bundle, "--test-file", test_file)[0] == 1


@pytest.fixture
def calibrated(bundle, tmp_path):
    copy = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    levels = [{"max_false_hit_rate": 0.05, "threshold": 0.875}, {"max_false_hit_rate": 0.25, "threshold": 0.5}]
    record_calibration(copy, {"schema_version": "1.0", "confidence": 0.95, "domains": {"all": levels, "law": []}})
    return copy


def test_a_quick_look_decides_at_the_calibrated_threshold(calibrated, base, adapter):
    texts = ["how can i reset my password", "change my password", "rent law", "the court"]
    facts = look(calibrated, texts, base_name=str(base))
    assert (facts["threshold"], facts["max_false_hit_rate"]) == (0.875, 0.05)
    with Embedder(calibrated) as embedder:
        vectors = embedder.encode(texts)
    for place, pair in enumerate(facts["pairs"]):
        cosine = float(vectors[2 * place] @ vectors[2 * place + 1])
        assert pair["adapter"]["cosine"] == pytest.approx(cosine, abs=1e-5)
        assert pair["adapter"]["hit"] == (cosine >= 0.875)
        assert pair["base"]["cosine"] != pytest.approx(cosine, abs=1e-4)
        assert pair["same"] is None
    assert look(calibrated, texts, without_base=True, budget=0.25)["threshold"] == 0.5
    assert "base" not in look(calibrated, texts, without_base=True)["pairs"][0]
    of_adapter = look(adapter, texts, base_name=str(base), threshold=0.6)
    assert of_adapter["pairs"][0]["adapter"]["cosine"] == pytest.approx(facts["pairs"][0]["adapter"]["cosine"], abs=0.1)


def test_what_can_not_be_looked_at(calibrated, adapter, tmp_path):
    with pytest.raises(NotCalibratedError, match="calibrated budgets"):
        look(calibrated, [], without_base=True, budget=0.01)
    with pytest.raises(UsageError, match="pairs of questions were expected"):
        look(calibrated, ["one"], without_base=True)
    with pytest.raises(UsageError, match="--base-model"):
        look(adapter, [])
    with pytest.raises(UsageError, match="neither a bundle"):
        look(tmp_path, [])
    # Nothing calibrated for a domain is no failure: cosines are shown without a decision.
    assert look(calibrated, [], without_base=True, domain="law")["pairs"][0]["adapter"]["hit"] is None


def test_the_built_in_pairs_come_with_their_near_misses(calibrated, base, monkeypatch, capsys):
    anchors = {a for a, _, _ in BUILT_IN}
    assert all({same for a, _, same in BUILT_IN if a == anchor} == {True, False} for anchor in anchors)
    code, out, _ = command(monkeypatch, capsys, "try", calibrated, "--base-model", base)
    assert code == 0
    assert "calibrated for all to at most 5% false hits" in out
    assert "hit" in out or "miss" in out
