from __future__ import annotations

import random

import pytest
from cachelora_training.augmentation import augmented
from cachelora_training.examples import read_examples
from cachelora_training.recipe import Recipe
from cachelora_training.rewordings import light_rewording


@pytest.fixture
def examples(write, rows):
    return read_examples([write("t.jsonl", rows(40))])


def test_a_plain_recipe_changes_nothing(examples):
    assert augmented(examples, Recipe()) == examples


def test_a_share_of_positives_gives_way_to_light_rewordings(examples):
    changed = augmented(examples, Recipe(light_rewordings=0.5))
    new = [after for before, after in zip(examples.triplets, changed.triplets, strict=True) if before != after]
    assert 10 < len(new) < 30
    for row in new:
        assert row.positive != row.anchor
        assert len(set(row.positive.split()) & set(row.anchor.split())) >= 2


def test_half_of_the_wordings_change_places(examples):
    changed = augmented(examples, Recipe(exchange=True))
    pairs = list(zip(examples.triplets, changed.triplets, strict=True))
    exchanged = [
        before for before, after in pairs if (before.anchor, before.positive) == (after.positive, after.anchor)
    ]
    assert 10 < len(exchanged) < 30
    assert all(before.negative == after.negative for before, after in pairs)


def test_rules_add_rows_of_their_own_kinds(examples):
    added = augmented(examples, Recipe(rule_triplets=0.5)).triplets[40:]
    assert len(added) == 20
    known = {text for row in examples.triplets for text in row.texts}
    for row in added:
        assert row.anchor in known
        assert row.negative not in (row.anchor, row.positive)
    assert len({row.anchor for row in added}) == 20


def test_a_negative_that_was_written_freely_leaves_its_row_alone(write):
    row = {
        "anchor": "can i take ibuprofen with a stomach ulcer",
        "positive": "is advil safe if my stomach has an ulcer",
        "negative": "which foods make ulcers heal faster",
    }
    examples = read_examples([write("t.jsonl", [row | {"anchor": f"{row['anchor']} {n}"} for n in range(20)])])
    assert augmented(examples, Recipe(light_rewordings=1, rule_triplets=1)) == examples


def test_the_seed_decides(examples):
    recipe = Recipe(exchange=True, light_rewordings=0.3, rule_triplets=0.3)
    assert augmented(examples, recipe) == augmented(examples, recipe)
    assert augmented(examples, recipe) != augmented(examples, recipe.model_copy(update={"seed": 1}))


def test_a_light_rewording_is_never_the_question():
    dice = random.Random(0)
    for question in ("wart?", "how do i log in", "Is 5 mg of melatonin too much for a child before school?", "a", "?"):
        for _ in range(200):
            assert light_rewording(question, dice) != question
