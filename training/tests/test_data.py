"""The project's own triplets: enough of them, no leaks, no shortcut."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from cachelora_training.calibration import negatives_needed
from cachelora_training.questions import folded, leaks, questions_of
from cachelora_training.rows import KINDS, Triplet, read_triplets

DATA = Path(__file__).parent.parent / "data"
DOMAINS = ("medical", "law", "programming", "psychology", "general")


def rows(domain: str, part: str) -> list[Triplet]:
    return read_triplets([str(DATA / domain / f"{part}.jsonl")])


def everything(*parts: str) -> list[Triplet]:
    return [row for part in parts for domain in DOMAINS for row in rows(domain, part)]


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def overlap(a: str, b: str) -> float:
    return len(words(a) & words(b)) / len(words(a) | words(b))


@pytest.mark.parametrize("domain", DOMAINS)
def test_there_is_enough(domain):
    assert len(rows(domain, "train")) + len(rows(domain, "test")) >= 400
    assert len(rows(domain, "test")) >= 50
    assert {row.domain for part in ("train", "test") for row in rows(domain, part)} == {domain}


def test_train_and_test_share_no_question():
    train, test = everything("train", "ordinary"), everything("test", "ordinary_test")
    assert leaks(train, test) == []
    # Nor one that differs in a word or two.
    known: dict[int, list[set[str]]] = {}
    for row in train:
        for text in (row.anchor, row.positive, row.negative):
            known.setdefault(len(words(text)), []).append(words(text))
    for row in test:
        for text in (row.anchor, row.positive, row.negative):
            asked = words(text)
            # Others have too few words in common, or too many of their own.
            near = [one for size in known if 0.8 * size < len(asked) < size / 0.8 for one in known[size]]
            assert not any(len(asked & one) > 0.8 * len(asked | one) for one in near), text


def test_the_test_for_leaks_finds_one():
    train = [Triplet("How do I log in?", "b", "c", source="train:1")]
    assert len(leaks(train, [Triplet("x", "how do i LOG in", "z", source="test:1")])) == 1


@pytest.mark.parametrize("parts", [("train", "ordinary"), ("test", "ordinary_test")])
def test_no_question_stands_twice(parts):
    found = Counter(folded(text) for row in everything(*parts) for text in (row.anchor, row.positive, row.negative))
    assert [text for text, count in found.items() if count > 1] == []
    assert len(questions_of(everything(*parts))) == 3 * len(everything(*parts))


@pytest.mark.parametrize("part", ["train", "test"])
def test_no_kind_dominates(part):
    found = Counter(row.kind for row in everything(part))
    assert len(found) >= len(KINDS) - 1
    assert max(found.values()) < 0.2 * sum(found.values())


@pytest.mark.parametrize("domain", DOMAINS)
def test_word_overlap_solves_few(domain):
    """A model that only counts shared words must fail on these rows; that is what they are for."""
    found = [row for part in ("train", "test") for row in rows(domain, part)]
    solved = [overlap(row.anchor, row.positive) > overlap(row.anchor, row.negative) for row in found]
    assert 0.1 < sum(solved) / len(solved) < 0.6


@pytest.mark.parametrize("domain", DOMAINS)
def test_negatives_stay_on_the_topic(domain):
    """A near miss nearly always shares a word with the question or with its rewording."""
    found = [row for part in ("train", "test") for row in rows(domain, part)]
    near = [words(row.negative) & (words(row.anchor) | words(row.positive)) for row in found]
    assert sum(map(bool, near)) / len(found) > 0.85


@pytest.mark.parametrize("part", ["ordinary", "ordinary_test"])
@pytest.mark.parametrize("domain", DOMAINS)
def test_ordinary_rows_keep_the_subject_and_change_the_question(domain, part):
    """Beside the near misses: ordinary rewordings, and freely written other questions about the same thing."""
    found = rows(domain, part)
    assert len(found) >= 35
    assert {row.domain for row in found} == {domain}
    near = [words(row.negative) & (words(row.anchor) | words(row.positive)) for row in found]
    assert sum(map(bool, near)) / len(found) > 0.85
    # Near misses repeat their question; these don't.
    assert sum(overlap(row.anchor, row.negative) for row in found) / len(found) < 0.5


@pytest.mark.parametrize("domain", DOMAINS)
def test_ordinary_test_rows_are_enough_to_calibrate_five_per_cent(domain):
    """So that anyone can calibrate a bundle for each domain without data of their own."""
    assert len({folded(row.anchor) for row in rows(domain, "ordinary_test")}) >= negatives_needed(0.05, 0.95)
