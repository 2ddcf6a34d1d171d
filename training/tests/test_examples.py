from __future__ import annotations

import pytest
from cachelora_training.errors import LeakError, RowsError
from cachelora_training.examples import read_examples
from cachelora_training.recipe import Recipe
from cachelora_training.train import datasets_of, train_adapter

TRIPLET = {"anchor": "is aspirin safe", "positive": "may i take aspirin", "negative": "is codeine safe"}


def test_three_forms_are_read_from_one_file(write):
    found = read_examples(
        [
            write(
                "mixed.jsonl",
                [
                    TRIPLET,
                    {"anchor": "what is a wart", "positive": "define wart", "domain": "medical"},
                    {"a": "how do i log in", "b": "logging in, how", "label": 1},
                    {"a": "how do i log out", "b": "how do i log in", "label": 0},
                    {"a": "sell a car", "b": "sell a house", "label": 0},
                ],
            )
        ]
    )
    assert [(row.anchor, row.positive, row.negative) for row in found.triplets[1:]] == [
        ("how do i log in", "logging in, how", "how do i log out")
    ]
    assert [(pair.anchor, pair.domain) for pair in found.pairs] == [("what is a wart", "medical")]
    assert found.unused == 1
    assert len(found) == 3
    assert len(found.texts) == 8


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"a": "x", "b": "y", "label": 2}, "label: 0 or 1 was expected, found 2"),
        ({"a": "x", "label": 1}, "b: a question was expected, found nothing"),
        ({"anchor": "x", "positive": "x"}, "positive: is anchor itself"),
        ({"anchor": "x"}, "positive: a question was expected, found nothing"),
        ({"anchor": "x", "positive": "y", "negative": ""}, "negative: a question was expected"),
    ],
)
def test_a_bad_row_is_named(write, row, message):
    path = write("bad.jsonl", [TRIPLET, row])
    with pytest.raises(RowsError, match=r"bad\.jsonl:2: ") as found:
        read_examples([path])
    assert message in str(found.value)


def test_pairs_are_trained_on_beside_triplets_and_alone(base, write, rows, tmp_path):
    pairs = write("pairs.jsonl", [{"anchor": row["anchor"], "positive": row["positive"]} for row in rows(12, start=50)])
    settings = Recipe(base_model=str(base), epochs=1, batch_size=4, learning_rate=0.01, geometry_weight=1.0)
    both = train_adapter(settings, [write("t.jsonl", rows(12)), pairs], tmp_path / "both")
    assert (both["triplets"], both["pairs"]) == (12, 12)
    alone = train_adapter(settings, [pairs], tmp_path / "alone")
    assert (alone["triplets"], alone["pairs"]) == (0, 12)
    assert alone["loss"]


def test_a_leak_in_a_pair_is_found(base, write, rows, tmp_path):
    test = rows(3)
    pair = write("pairs.jsonl", [{"a": "something else", "b": test[0]["negative"], "label": 1}])
    with pytest.raises(LeakError):
        train_adapter(Recipe(base_model=str(base)), [pair], tmp_path / "x", eval_data=[write("test.jsonl", test)])


def test_without_written_negatives_only_other_rows_are_negatives(write, rows):
    examples = read_examples([write("t.jsonl", rows(4))])
    assert datasets_of(examples, Recipe(written_negatives=False))["triplets"].column_names == ["anchor", "positive"]
    assert datasets_of(examples, Recipe())["triplets"].column_names == ["anchor", "positive", "negative"]


def test_pairs_that_are_labelled_both_ways_are_left_out_and_named(write, capsys):
    path = write(
        "pairs.jsonl",
        [
            {"a": "is a wart harmful", "b": "are warts dangerous", "label": 1},
            {"a": "Are warts dangerous?", "b": "is a wart harmful", "label": 0},
            {"a": "is a mole harmful", "b": "are moles dangerous", "label": 1},
            {"a": "is a mole harmful", "b": "is a wart harmful", "label": 0},
        ],
    )
    found = read_examples([path])
    assert [(row.anchor, row.positive, row.negative) for row in found.triplets] == [
        ("is a mole harmful", "are moles dangerous", "is a wart harmful")
    ]
    assert found.pairs == []
    said = " ".join(capsys.readouterr().err.split())
    assert f"labelled both ways and left out, pairs: 1 ({path}:1 and {path}:2)" in said
