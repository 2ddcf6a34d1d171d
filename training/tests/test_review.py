from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cachelora import Embedder
from cachelora.cli import main
from cachelora.errors import UsageError
from cachelora_training.calibrate import calibrate_bundle
from cachelora_training.errors import RowsError
from cachelora_training.evaluate import evaluate_models
from cachelora_training.evaluate.pairs import cosines, read_pairs
from cachelora_training.evaluate.review import most_alike, read_review, write_review


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def answered(path: Path, answer: bool) -> str:
    path.write_text("".join(json.dumps(row | {"same_answer": answer}) + "\n" for row in lines(path)), encoding="utf-8")
    return str(path)


def test_the_most_alike_near_misses_of_each_domain_are_written_without_what_a_model_thinks(
    bundle, write, rows, tmp_path
):
    data, output = write("t.jsonl", rows(40)), tmp_path / "review.jsonl"
    facts = write_review(output, None, [], [data], bundles=[bundle], share=0.1)
    found = lines(output)
    assert facts == {"pairs": 4, "new": 4, "answered": 0, "output": str(output)}
    assert {tuple(row) for row in found} == {("a", "b", "same_answer", "domain", "source")}
    assert all(row["same_answer"] is None for row in found)
    pairs = read_pairs([data])
    with Embedder(bundle) as embedder:
        scores = cosines(embedder.encode, pairs)
    for domain in ("general", "support"):
        places = np.flatnonzero((pairs.domain == domain) & (pairs.label == 0))
        least = min(scores[place] for place in most_alike(pairs, scores, 0.1) if pairs.domain[place] == domain)
        assert sum(scores[places] >= least) == 2
        assert sum(row["domain"] == domain for row in found) == 2


def test_what_was_answered_stays(bundle, write, rows, tmp_path):
    data, output = write("t.jsonl", rows(40)), tmp_path / "review.jsonl"
    write_review(output, None, [], [data], bundles=[bundle], share=0.1)
    answered(output, True)
    before = lines(output)
    facts = write_review(output, None, [], [data], bundles=[bundle], share=0.3)
    assert (facts["new"], facts["answered"]) == (8, 4)
    assert lines(output)[:4] == before


def test_pairs_with_a_wrong_label_are_set_aside(bundle, write, rows, tmp_path):
    data, output = write("t.jsonl", rows(40)), tmp_path / "review.jsonl"
    write_review(output, None, [], [data], bundles=[bundle], share=0.1)
    wrong = answered(output, True)
    plain = evaluate_models(None, [], [data], bundles=[bundle])
    found = evaluate_models(None, [], [data], bundles=[bundle], reviewed=[wrong])
    assert found["set_aside"] == 4
    assert found["reviews"][0]["answers"] == 4
    assert len(found["pairs"]["label"]) == len(plain["pairs"]["label"]) - 4
    group, before = (facts["models"][0]["by_domain"]["all"] for facts in (found, plain))
    assert group["negatives"] == before["negatives"] - 4
    assert group["positives"] == before["positives"]
    assert group["triplets"] == before["triplets"] - 4
    # The most alike of the near misses are gone, so nothing can get worse.
    assert group["roc_auc"] >= before["roc_auc"]
    assert group["hits"]["0.01"]["hit_rate"] >= before["hits"]["0.01"]["hit_rate"]


def test_a_label_that_was_right_stays(bundle, write, rows, tmp_path):
    data, output = write("t.jsonl", rows(40)), tmp_path / "review.jsonl"
    write_review(output, None, [], [data], bundles=[bundle], share=0.1)
    right = answered(output, False)
    found = evaluate_models(None, [], [data], bundles=[bundle], reviewed=[right])
    plain = evaluate_models(None, [], [data], bundles=[bundle])
    assert found["set_aside"] == 0
    assert found["models"][0]["by_domain"] == plain["models"][0]["by_domain"]


def test_positives_can_be_wrong_too(write, rows):
    data = write("t.jsonl", rows(4))
    row = rows(4)[0]
    said = write("review.jsonl", [{"a": row["positive"], "b": row["anchor"], "same_answer": False}])
    found = read_pairs([data], judged=read_review([said]))
    assert found.counts["set_aside"] == 1
    assert found.label.tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert found.triplet_rows.tolist() == [1, 2, 3]


def test_a_calibration_says_what_was_set_aside(tiny_copy, write, rows, tmp_path):
    data, output = write("t.jsonl", rows(400)), tmp_path / "review.jsonl"
    write_review(output, None, [], [data], bundles=[tiny_copy], share=0.02)
    wrong = answered(output, True)
    found = calibrate_bundle(tiny_copy, [data], budgets=[0.5], confidence=0.95, reviewed=[wrong])
    assert found["set_aside"] == 8
    assert found["reviews"][0]["answers"] == 8


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"a": "x", "same_answer": True}, "r.jsonl:1: b: "),
        ({"a": "x", "b": "y", "same_answer": "yes"}, "r.jsonl:1: same_answer: true, false or null was expected"),
        ({"a": "x", "b": "y"}, "r.jsonl:1: same_answer: true, false or null was expected, found 'nothing'"),
    ],
)
def test_a_bad_review_is_refused(write, row, message):
    with pytest.raises(RowsError, match=message):
        read_review([write("r.jsonl", [row])])


def test_two_answers_about_the_same_questions_must_agree(write):
    said = [{"a": "x", "b": "y", "same_answer": True}, {"a": "y", "b": "x", "same_answer": False}]
    with pytest.raises(RowsError, match=r"r.jsonl:2: same_answer: .*r.jsonl:1 says the contrary"):
        read_review([write("r.jsonl", said)])


def test_a_share_must_be_one(bundle, write, rows, tmp_path):
    with pytest.raises(UsageError, match="--share is 0"):
        write_review(tmp_path / "r.jsonl", None, [], [write("t.jsonl", rows(4))], bundles=[bundle], share=0)


def test_the_command(bundle, write, rows, tmp_path, capsys, monkeypatch):
    def run(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["cachelora", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0
        return capsys.readouterr().out

    data, output = write("t.jsonl", rows(40)), tmp_path / "review.jsonl"
    said = run("review", "--bundle", str(bundle), "--test-file", data, "--output", str(output), "--share", "0.1")
    assert "4 pairs, 4 of them new, 0 answered" in said
    wrong = answered(output, True)
    found = run("evaluate", "--bundle", str(bundle), "--test-file", data, "--reviewed", wrong, "--json")
    assert json.loads(found)["set_aside"] == 4
