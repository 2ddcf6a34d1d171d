from __future__ import annotations

import json

import numpy as np
import pytest
import typer
from cachelora import Embedder
from cachelora.application import command_of
from cachelora.errors import UsageError
from cachelora_training.errors import RowsError
from cachelora_training.replay.answers import Answer, read_answers
from cachelora_training.replay.cache import neighbours_at_start, play
from cachelora_training.replay.commands import replay
from cachelora_training.replay.run import Plan, replay_bundle
from cachelora_training.replay.store import ApproximateStore, ExactStore, open_store
from cachelora_training.replay.tables import CROWD, SERVED
from cachelora_training.replay.traffic import UNRELATED, make_traffic
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

ANSWERS = [Answer(tuple(f"answer {number} wording {wording}" for wording in range(3))) for number in range(30)]
STRANGERS = [f"stranger {number}" for number in range(400)]


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def stream(**changes):
    settings = {"entries": 50, "questions": 200, "exponent": 1.0, "unrelated_share": 0.3, "seed": 4, **changes}
    return make_traffic(ANSWERS, STRANGERS, **settings)


def stored_of(traffic):
    return set(range(traffic.stored.start, traffic.stored.stop))


def played(traffic, vectors, threshold, kind=ExactStore):
    store = kind(vectors[traffic.stored])
    store.hold(len(vectors[traffic.stored]))
    return play(traffic, vectors, threshold, neighbours_at_start(traffic, vectors, store))


def test_rows_of_all_forms_are_joined_by_their_answers(write):
    data = write(
        "rows.jsonl",
        [
            {"anchor": "A1", "positive": "A2", "negative": "B1", "domain": "law"},
            {"a": "a2?", "b": "A3", "label": 1},
            {"a": "A3", "b": "C1", "label": 0},
            {"query": "D1", "intent": "d"},
            {"query": "D2", "intent": "d"},
            {"query": "E1", "intent": "d", "domain": "medical"},
            {"anchor": "B1", "positive": "B2"},
        ],
    )
    found = {frozenset(answer.questions) for answer in read_answers([data])}
    assert found == {frozenset(group) for group in (["A1", "A2", "A3"], ["B1", "B2"], ["C1"], ["D1", "D2"], ["E1"])}
    with pytest.raises(RowsError, match="no two questions"):
        read_answers([write("lone.jsonl", [{"a": "x", "b": "y", "label": 0}])])


@given(st.integers(0, 10_000), st.floats(0, 2), st.floats(0, 0.9), st.integers(0, 60))
@settings(derandomize=True, max_examples=40)
def test_laws_of_the_stream(seed, exponent, share, entries):
    traffic = stream(seed=seed, exponent=exponent, unrelated_share=share, entries=entries)
    again = stream(seed=seed, exponent=exponent, unrelated_share=share, entries=entries)
    assert (traffic.asked == again.asked).all()
    fuller = stream(seed=seed, exponent=exponent, unrelated_share=share, entries=entries + 40)
    assert (fuller.asked == traffic.asked).all()
    assert fuller.texts[: len(traffic.texts)] == traffic.texts
    assert fuller.stored.start == traffic.stored.start
    assert traffic.stored == slice(len(traffic.texts) - entries, len(traffic.texts))
    strangers = traffic.asked[traffic.answer[traffic.asked] == UNRELATED]
    # Each stranger comes once, and none is stored already.
    assert len(set(strangers) | stored_of(traffic)) == len(strangers) + entries
    assert (traffic.answer[traffic.stored] == UNRELATED).all()


def test_popularity_falls_like_the_exponent_says():
    flat, steep = (
        np.sort(np.bincount(stream(questions=20_000, exponent=e, unrelated_share=0.0).asked // 3, minlength=30))[::-1]
        for e in (0.0, 1.0)
    )
    assert flat[0] < 1.3 * flat[-1]
    assert steep[0] / steep[9] == pytest.approx(10, rel=0.25)


def test_a_perfect_encoder_is_never_wrong_and_misses_nothing():
    traffic = stream(unrelated_share=0.2)
    # One axis for each answer and each stranger.
    axes = np.where(traffic.answer >= 0, traffic.answer, 30 + np.arange(len(traffic.texts)))
    vectors = np.eye(30 + len(traffic.texts), dtype=np.float32)[axes]
    outcome = played(traffic, vectors, 0.9)
    labelled = traffic.answer[traffic.asked] >= 0
    first = len(set(traffic.answer[traffic.asked][labelled]))
    assert not outcome.wrong.any()
    assert not outcome.unjudged.any()
    assert outcome.right.sum() == labelled.sum() - first
    # An encoder that can't tell anything serves the first stored answer to everyone.
    same = np.tile(np.eye(1, 8, dtype=np.float32), (len(traffic.texts), 1))
    assert played(traffic, same, 0.9).hit.all()


@given(st.integers(0, 1000), st.floats(0.2, 0.95))
@settings(derandomize=True, max_examples=20)
def test_laws_of_a_replay(seed, threshold):
    generator = np.random.default_rng(seed)
    traffic = stream(seed=seed)
    vectors = unit(generator.normal(size=(len(traffic.texts), 6)))
    outcome = played(traffic, vectors, threshold)
    assert not (outcome.right & outcome.wrong).any()
    assert ((outcome.right | outcome.wrong | outcome.unjudged) == outcome.hit).all()
    assert (outcome.crowd <= outcome.wrong).all()
    assert ((outcome.served >= 0) == outcome.hit).all()
    # Whoever was served was stored, by then, and reaches the threshold; a question asked again is a hit for good.
    cosines = np.einsum("ij,ij->i", vectors[traffic.asked], vectors[outcome.served])
    assert (cosines[outcome.hit] >= threshold - 1e-5).all()
    known = stored_of(traffic)
    for number, place in enumerate(traffic.asked):
        if outcome.hit[number]:
            assert outcome.served[number] in known
        else:
            assert place not in known
            assert (vectors[list(known)] @ vectors[place] < threshold + 1e-5).all()
            known.add(place)
    # Above every cosine of distinct questions only repetitions are hits.
    strict = played(traffic, vectors, 1.0 - 1e-6)
    assert (strict.right | ~strict.hit).mean() > 0.98


def test_the_approximate_store_finds_what_the_exact_one_does():
    generator = np.random.default_rng(0)
    # Grouped, as questions are.
    stored = unit(generator.normal(size=(200, 32)).repeat(25, axis=0) + 0.5 * generator.normal(size=(5000, 32)))
    asked = unit(stored[:300] + 0.05 * generator.normal(size=(300, 32)))
    exact, approximate = ExactStore(stored), ApproximateStore(stored)
    heard = []
    for store in (exact, approximate):
        places, cosines = store.nearest(asked[:1])
        assert (places[0], cosines[0]) == (-1, -np.inf)
        store.hold(3)
        # Fewer than a search fetches, for one question and for several.
        for count in (1, 2):
            assert (store.nearest(asked[:count])[0] == (asked[:count] @ stored[:3].T).argmax(axis=1)).all()
        store.hold(4000, heard.append)
        store.hold(5000, heard.append)
    assert sum(heard) == 2 * 4997
    (place, cosine), (other_place, other_cosine) = exact.nearest(asked), approximate.nearest(asked)
    assert (place == (asked @ stored.T).argmax(axis=1)).all()
    same = place == other_place
    assert same.mean() > 0.98
    # Not the half precision of the graph.
    assert np.abs(cosine - other_cosine)[same].max() < 1e-6
    assert (open_store(np.empty((20_000, 2))).name, open_store(np.empty((20_001, 2))).name) == ("exact", "usearch")


def test_what_an_index_does_not_find_is_counted(monkeypatch, tiny_copy, write, rows):
    """A graph that is hardly searched misses neighbours, and the replay says how many."""
    from cachelora_training.replay import run, store

    data = [write("labelled.jsonl", rows(40))], [write("crowd.jsonl", [{"query": f"rent {n}"} for n in range(300)])]
    plan = Plan(entries=(0, 200), questions=100)
    exact = replay_bundle(tiny_copy, *data, plan, thresholds=[0.5])
    monkeypatch.setattr(store, "EXACT_UP_TO", 0)
    approximate = replay_bundle(tiny_copy, *data, plan, thresholds=[0.5])
    assert [found["runs"][1]["index"] for found in (exact, approximate)] == ["exact", "usearch"]
    for found in (exact, approximate):
        assert found["runs"][0]["index_recall"]["nearest_found"] is None
        assert found["runs"][1]["index_recall"]["nearest_found"] > 0.95
    exact_rates, rates = exact["runs"][1], approximate["runs"][1]
    assert rates["hit_rate"] == pytest.approx(exact_rates["hit_rate"], abs=0.03)
    assert rates["crowd"] == exact_rates["crowd"]

    class Blind(ExactStore):
        def nearest(self, asked):
            places, cosines = super().nearest(asked)
            cosines[::2] -= 0.9
            return places, cosines

    monkeypatch.setattr(run, "open_store", Blind)
    blind = replay_bundle(tiny_copy, *data, plan, thresholds=[0.5])["runs"][1]["index_recall"]
    assert blind["nearest_found"] == pytest.approx(0.5, abs=0.02)
    assert blind["reaching_found"] < 0.8
    assert blind["reaching"] <= blind["questions"]


def test_a_bundle_is_replayed(tiny_copy, write, rows, tmp_path):
    labelled = write("labelled.jsonl", rows(40))
    crowd = write("crowd.jsonl", [{"query": f"why is my docker branch {n} old"} for n in range(150)])
    plan = Plan(entries=(20, 80), questions=120, exponent=1.0, unrelated_share=0.3, seed=1)
    facts = replay_bundle(tiny_copy, [labelled], [crowd], plan, thresholds=[0.8, 0.99])
    assert facts == replay_bundle(tiny_copy, [labelled], [crowd], plan, thresholds=[0.8, 0.99])
    assert [(run["threshold"], run["entries"]) for run in facts["runs"]] == [
        (0.8, 20), (0.8, 80), (0.99, 20), (0.99, 80),
    ]  # fmt: skip
    for run in facts["runs"]:
        parts = run["right_hit_rate"] + run["wrong_hit_rate"] + run["unjudged_hit_rate"]
        assert run["hit_rate"] == pytest.approx(parts)
        assert run["saved_calls"] == round(run["hit_rate"] * 120)
        assert 0 <= run["missed"] <= run["repeated"]
    loose, strict = facts["runs"][0], facts["runs"][2]
    assert loose["hit_rate"] >= strict["hit_rate"]
    with Embedder(tiny_copy) as embedder:
        for run in facts["runs"]:
            for worst in run["worst"]:
                one, other = embedder.encode([worst["asked"], worst["served"]])
                assert worst["cosine"] == pytest.approx(float(one @ other), abs=1e-5)
                assert worst["cosine"] >= run["threshold"] - 1e-5
    # Without thresholds, the calibrated ones.
    budgets = [run["max_false_hit_rate"] for run in replay_bundle(tiny_copy, [labelled], [crowd], plan)["runs"]]
    assert budgets == [0.05, 0.05, 0.25, 0.25]


def test_the_command(tiny_copy, write, rows, tmp_path):
    labelled = write("labelled.jsonl", rows(20))
    crowd = write("crowd.jsonl", [{"query": f"rent of {n}"} for n in range(60)])
    arguments = [str(tiny_copy), "--data", labelled, "--unrelated", crowd, "--entries", "10", "--questions", "40"]
    output = tmp_path / "replay.json"
    application = typer.Typer()
    application.command()(replay)
    said = CliRunner().invoke(application, [*arguments, "--output", str(output), "--json"])
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout) == json.loads(output.read_text())
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(application, arguments).stdout
    # Every heading and figure stands there whole.
    assert "\u2026" not in shown
    for heading in (*SERVED, *CROWD):
        assert heading in shown
    assert command_of("replay", replay).name == "replay"


def test_what_can_not_be_replayed(tiny_copy, write, rows):
    labelled = write("labelled.jsonl", rows(5))
    with pytest.raises(UsageError, match="--unrelated names files of more"):
        replay_bundle(tiny_copy, [labelled], [], Plan(entries=(10,), questions=5))
    with pytest.raises(UsageError, match="cosine was expected"):
        replay_bundle(tiny_copy, [labelled], [], Plan(entries=(0,), questions=5, unrelated_share=0), thresholds=[2])
    (tiny_copy / "calibration.json").unlink()
    manifest = json.loads((tiny_copy / "cachelora.json").read_text())
    del manifest["files"]["calibration.json"]
    (tiny_copy / "cachelora.json").write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match="--threshold gives one"):
        replay_bundle(tiny_copy, [labelled], [], Plan(entries=(0,), questions=5, unrelated_share=0))
