"""More rows from the rows there are: light rewordings as positives, near misses by rule, exchanged wordings."""

from __future__ import annotations

import random
from dataclasses import replace

from cachelora_training.edits import EDITS, edited
from cachelora_training.evaluate.overlap import word_overlap
from cachelora_training.examples import Examples
from cachelora_training.questions import folded
from cachelora_training.recipe import Recipe
from cachelora_training.rewordings import light_rewording
from cachelora_training.rows import Triplet

__all__ = ["augmented"]

# Share of words in common from which a negative counts as a repeated question: nine in ten of our near misses about
# medicine are above it, one in fifty of the ordinary rows.
REPEATED = 0.4


def augmented(examples: Examples, recipe: Recipe) -> Examples:
    """Return the examples as the recipe wants them; the same seed gives the same rows.

    ``exchange`` lets anchor and positive change places in half of the triplets. The other two are for rows whose
    negative repeats a question's words, from which alone an encoder would learn that shared words mean another answer:
    ``light_rewordings`` replaces a share of their positives by light rewordings of the anchors, and ``rule_triplets``
    adds rows whose near miss is one edit and whose positive is a light rewording, as a share of their number.
    """
    dice = random.Random(recipe.seed)
    triplets = [
        replace(row, anchor=row.positive, positive=row.anchor) if recipe.exchange and dice.random() < 0.5 else row
        for row in examples.triplets
    ]
    repeating = [row for row in triplets if _repeats(row)]
    by_rule = _by_rule(repeating, round(recipe.rule_triplets * len(repeating)), dice)
    triplets = [
        replace(row, positive=light_rewording(row.anchor, dice))
        if dice.random() < recipe.light_rewordings and _repeats(row)
        else row
        for row in triplets
    ]
    return replace(examples, triplets=triplets + by_rule)


def _repeats(row: Triplet) -> bool:
    """Whether the negative has most words of the anchor or of the positive."""
    overlaps = word_overlap([row.anchor, row.positive], [row.negative, row.negative])
    return bool(overlaps.max() > REPEATED)


def _by_rule(rows: list[Triplet], count: int, dice: random.Random) -> list[Triplet]:
    """Return up to ``count`` triplets; every question is edited at most once, by a rule that is drawn."""
    questions = [(text, row) for row in rows for text in row.texts] if count else []
    dice.shuffle(questions)
    kinds = sorted(EDITS)
    made: list[Triplet] = []
    for text, row in questions:
        if len(made) == count:
            break
        dice.shuffle(kinds)
        for kind in kinds:
            other = edited(text, kind)
            if other is not None and folded(other) != folded(text):
                made.append(Triplet(text, light_rewording(text, dice), other, row.domain, kind, row.source))
                break
    return made
