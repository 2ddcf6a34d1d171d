"""Edits of one word that nobody reads but a model: near misses for augmentation.

What a person would call odd ("35 months pregnant") teaches an encoder as well as a sensible near miss does that this
word matters, and here three questions in five have an edit. `generate.rules` writes rows that people read: it edits
half as many questions, and an adapter that was augmented with it came out no better (EXPERIMENTS.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from cachelora_training.generate.rule_words import PLACES, UNITS

__all__ = ["EDITS", "edited"]

# Pairs in which either word turns a question into one with another answer; by kind, whole words only.
PAIRS: dict[str, tuple[tuple[str, str], ...]] = {
    "direction": (
        ("increase", "decrease"),
        ("high", "low"),
        ("higher", "lower"),
        ("gain", "lose"),
        ("encode", "decode"),
        ("encrypt", "decrypt"),
        ("upload", "download"),
        ("import", "export"),
        ("send", "receive"),
        ("buy", "sell"),
        ("borrow", "lend"),
        ("landlord", "tenant"),
        ("employer", "employee"),
        ("buyer", "seller"),
        ("ascending", "descending"),
        ("push", "pull"),
        ("enable", "disable"),
        ("add", "remove"),
        ("install", "uninstall"),
        ("deposit", "withdraw"),
        ("hot", "cold"),
        ("open", "close"),
        ("start", "stop"),
    ),
    "time": (
        ("before", "after"),
        ("first", "last"),
        ("morning", "evening"),
        ("day", "night"),
        ("begin", "end"),
        ("yesterday", "tomorrow"),
        ("early", "late"),
    ),
    "population": (
        ("adults", "children"),
        ("adult", "child"),
        ("men", "women"),
        ("man", "woman"),
        ("son", "daughter"),
        ("husband", "wife"),
        ("teenager", "toddler"),
        ("student", "teacher"),
    ),
    "part_whole": (("all", "one"), ("every", "one"), ("whole", "half"), ("both", "one")),
    "negation": (
        ("always", "never"),
        ("allowed", "forbidden"),
        ("qualify", "fail to qualify"),
        ("eligible", "not eligible"),
        ("covered", "excluded"),
        ("included", "left out"),
        ("required", "optional"),
    ),
    "condition": (("local", "remote"), ("online", "offline"), ("mild", "severe"), ("full-time", "part-time")),
}

# Names within a type; one is replaced by the next of its row.
ENTITIES: tuple[tuple[str, ...], ...] = (
    ("ibuprofen", "paracetamol", "aspirin", "naproxen"),
    ("metformin", "insulin", "glipizide"),
    ("diabetes", "asthma", "hypertension", "epilepsy"),
    ("cholesterol", "glucose", "potassium", "iron"),
    ("python", "java", "javascript", "ruby", "rust"),
    ("mysql", "postgres", "sqlite", "oracle"),
    ("windows", "linux", "macos"),
    ("tuple", "dictionary", "array"),
    ("depression", "anxiety", "schizophrenia", "dementia"),
    ("psychologist", "psychiatrist", "counselor"),
    ("trademark", "copyright", "patent"),
    ("divorce", "adoption", "custody"),
    ("credit card", "debit card"),
    ("flight", "train", "hotel"),
    ("phone", "laptop", "tablet"),
)

Edit = Callable[[str], Iterator[str]]


def edited(question: str, kind: str) -> str | None:
    """Return the question with one minimal edit of ``kind``, or None where none of that kind applies."""
    return next(EDITS[kind](question), None) if kind in EDITS else None


def _replaced(question: str, match: re.Match[str], word: str) -> str:
    """Return the question with the match replaced, in the match's case."""
    found = match.group()
    if found.isupper() and len(found) > 1:
        word = word.upper()
    elif found[:1].isupper():
        word = word[:1].upper() + word[1:]
    return question[: match.start()] + word + question[match.end() :]


def _matches(question: str, word: str) -> Iterator[re.Match[str]]:
    # An apostrophe or a hyphen belongs to the word, so that "can" is not found in "can't".
    return re.finditer(rf"(?<![\w'-]){re.escape(word)}(?![\w'-])", question, flags=re.IGNORECASE)


def _pairs(kind: str) -> Edit:
    def edit(question: str) -> Iterator[str]:
        for one, other in PAIRS[kind]:
            for word, opposite in ((one, other), (other, one)):
                for match in _matches(question, word):
                    yield _replaced(question, match, opposite)

    return edit


def _within(groups: tuple[tuple[str, ...], ...]) -> Edit:
    def edit(question: str) -> Iterator[str]:
        for group in groups:
            for index, word in enumerate(group):
                for match in _matches(question, word):
                    yield _replaced(question, match, group[(index + 1) % len(group)])

    return edit


def _units(question: str) -> Iterator[str]:
    for group in UNITS:
        for index, word in enumerate(group):
            # Short units stand behind a number, with or without a space; "l" alone is a letter.
            pattern = rf"(?<=\d)(\s?){re.escape(word)}(?!\w)|(?<![\w'-]){re.escape(word)}(?![\w'-])"
            for match in re.finditer(pattern, question, flags=re.IGNORECASE):
                if len(word) <= 2 and not match.group(1) and not question[: match.start()].rstrip()[-1:].isdigit():
                    continue
                space = match.group(1) or ""
                yield question[: match.start()] + space + group[(index + 1) % len(group)] + question[match.end() :]


def _numbers(question: str) -> Iterator[str]:
    # Not a part of a word, a longer number, a placeholder or an ordinal.
    for match in re.finditer(r"(?<![\w.,{[-])\d+(?![\w.,]*\d)(?!st\b|nd\b|rd\b|th\b)", question):
        number = int(match.group())
        # Calendar years move by one, ages by some years, amounts double: all are still numbers to ask about.
        if 1900 <= number <= 2100 or number < 2:
            other = number + 1
        elif re.match(r"[\s-]?(?:years?|yrs?|yo)\b", question[match.end() :]):
            other = number + (3 if number < 12 else 10)
        else:
            other = 2 * number
        yield question[: match.start()] + str(other) + question[match.end() :]


def _versions(question: str) -> Iterator[str]:
    # A number behind a word names a version unless a lower-case word follows, which it would count.
    behind_a_name = r"(?<=[A-Za-z] )(?<!\bfrom )(?<!\bthe )(?<!\bor )(?<!\bof )(\d+)((?:\.\d+)*)(?![\w.]*\d)(?! [a-z])"
    pattern = rf"{behind_a_name}|(?<=[vV])(\d+)((?:\.\d+)*)(?![\w.]*\d)"
    for match in re.finditer(pattern, question):
        parts = match.group().split(".")
        parts[-1] = str(int(parts[-1]) + 1).zfill(len(parts[-1]))
        yield question[: match.start()] + ".".join(parts) + question[match.end() :]


def _negations(question: str) -> Iterator[str]:
    """Yield what leaves out instead of using, and what is to be avoided instead of done.

    A bare "not" is no near miss: whether something can or can't be done is one answer. So only those negations are made
    after which another answer is wanted.
    """
    for pattern, form in (
        (r"\bwithout (?=\w+ing\b)", "while "),
        (r"\bwithout (?!\w+ing\b)(?=\w)", "with "),
        # "deal with", "wrong with", "compared with" have no opposite.
        (
            r"(?<!deal )(?<!cope )(?<!help )(?<!wrong )(?<!problem )(?<!problems )(?<!issue )(?<!up )(?<!live )"
            r"(?<!agree )(?<!start )(?<!compared )(?<!diagnosed )(?<!replace )\bwith (?=(?:an?|my own|any|no) )",
            "without ",
        ),
        (r"^(when|what|where) to ", r"\1 not to "),
        (r"^(who|which \w+|what \w+) (is|are|has|have|must|should|needs?) (?!not\b|i\b|you\b|we\b)", _negated),
    ):
        for match in re.finditer(pattern, question, flags=re.IGNORECASE):
            other = form(match) if callable(form) else match.expand(form)
            yield question[: match.start()] + other + question[match.end() :]
    yield from _pairs("negation")(question)


def _negated(match: re.Match[str]) -> str:
    subject, verb = match.group(1), match.group(2)
    plain = {"has": "does not have ", "have": "do not have ", "need": "do not need ", "needs": "does not need "}
    return f"{subject} {plain.get(verb.lower(), f'{verb} not ')}"


def _intents(question: str) -> Iterator[str]:
    for pattern, form in (
        (r"^how (?:do|can) i (\w+)\b(.*)$", r"why should I \1\2"),
        (r"^what causes\b(.*)$", r"what prevents\1"),
        (r"^what is the treatment (?:of|for)\b(.*)$", r"what is the cause of\1"),
        (r"^what are the symptoms of\b(.*)$", r"what are the causes of\1"),
        (r"^what are the causes of\b(.*)$", r"what are the symptoms of\1"),
        (r"^why (?:do|does) (.*)$", r"since when \1"),
    ):
        match = re.match(pattern, question, flags=re.IGNORECASE)
        if match:
            edited = match.expand(form)
            yield edited[:1].upper() + edited[1:] if question[:1].isupper() else edited


EDITS: dict[str, Edit] = {
    "number": _numbers,
    "unit": _units,
    "version": _versions,
    "entity": _within(ENTITIES),
    "place": _within((PLACES,)),
    "intent": _intents,
    **{kind: _pairs(kind) for kind in PAIRS},
    # Besides its pairs, negation has forms of its own.
    "negation": _negations,
}
