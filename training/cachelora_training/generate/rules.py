"""Near misses by minimal edits of a question, without any model. Deterministic.

Each rule makes one kind of near miss by changing as little as it can: a number, a unit, a negation, the direction,
the time, a name within its type. The positive is the same question in another form. What rules write is plain, but it
costs nothing.

A rule applies only where its edit is likely to leave a question that somebody could ask and that wants another answer;
`rule_words.py` says where that is. Two edits are never made: a question that holds both words of a pair compares them,
and one that holds a word twice would be changed in half.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache

from cachelora_training.generate.rule_words import (
    CONTEXTS,
    ENTITIES,
    EXPOSED_TO,
    GENDERED,
    INTENTS,
    NEGATIONS,
    PAIRS,
    PLACES,
    REWORDINGS,
    UNITS,
    YEARS_OF_VERSIONS,
)

__all__ = ["RULES", "near_miss", "rewording"]

Rule = Callable[[str], Iterator[str]]

# What a number may be followed by to be an amount, and what it may stand behind to be a name.
MEASURES = (
    r"(?:%|percent|mg|mcg|g|ml|l|kg|pounds|lbs|km|miles|cm|mm|inches|feet|hours?|minutes?|seconds?|days?|weeks?|months?|"
    r"years?|yrs?|yo|y/o|degrees|dollars|euros|employees|people|users|tablets|pills|times|points|bits?|mb|gb|kb)\b"
)
DURATIONS = r"(?:hours?|minutes?|days?|weeks?|months?|years?|yrs?)\b(?![\s-]old)"
AGES = r"(?:(?:years?|yrs?)[\s-]old|yo|y/o|(?:year|yr)s? of age)\b"
NAMES_WITH_NUMBERS = r"(?:type|stage|section|chapter|grade|level|step|class|article|phase|degree|category)"
# Who tells how it came about; a month more in the story seldom changes the advice.
STORY = re.compile(r"\b(?:ha[sv]e?|had|was|were|been|suffer\w*|ago|since|past|last)\b|['’]ve\b", flags=re.IGNORECASE)
THINGS = r"(?:row|column|file|line|word|element|value|record|table|item|photo|message|email|contact|page)"
NOUN_PHRASE = r" (?:an?|the|my|your|our|its?|his|her|their|another|any|this|third|3rd|banks?|[A-Z])\b"
# Not a part of a word, of a longer number, of a path, a range or a placeholder, and no ordinal.
NUMBERS = re.compile(
    r"(?<![\w.,{\[(/:\\'\"\u2013-])\d+(?![\w.,]*\d)(?![\])}/:\\'\"\u2013])(?!st\b|nd\b|rd\b|th\b)", flags=re.IGNORECASE
)
NUMBER_WORDS = r"(?:a|an|one|two|three|four|five|six|seven|ten|few|couple of|several|per|\d+)"


def near_miss(question: str, kind: str) -> str | None:
    """Return the question with one minimal edit of ``kind``, or None where no rule of that kind applies."""
    return next(RULES[kind](question), None) if kind in RULES else None


def rewording(question: str) -> str:
    """Return the same question in another form."""
    plain = " ".join(question.split())
    for pattern, form in REWORDINGS:
        match = re.match(pattern, plain, flags=re.IGNORECASE)
        if match:
            return match.expand(form)
    return plain


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern that ignores case; there are more of them than the library keeps."""
    return re.compile(pattern, flags=re.IGNORECASE)


def _replaced(question: str, match: re.Match[str], word: str) -> str:
    """Return the question with the match replaced, in the match's case, and an article before it that fits."""
    found = match.group()
    if found.isupper() and len(found) > 1:
        word = word.upper()
    elif found[:1].isupper():
        word = word[:1].upper() + word[1:]
    before = question[: match.start()]
    article = re.search(r"\b([Aa])n? $", before)
    if article and (word[:1].lower() in "aeiou") != (found[:1].lower() in "aeiou"):
        before = before[: article.end(1)] + ("n " if word[:1].lower() in "aeiou" else " ")
    return before + word + question[match.end() :]


def _matches(question: str, word: str) -> Iterator[re.Match[str]]:
    # An apostrophe, a hyphen, a path or a dotted name belongs to the word, so that "can" is not found in "can't".
    return _compiled(rf"(?<![\w'’./\\$@\[-]){re.escape(word)}(?![\w'’/\\@\]-]|\.\w)").finditer(question)


def _pairs(kind: str) -> Rule:
    def rule(question: str) -> Iterator[str]:
        for one, other in PAIRS[kind]:
            for word, opposite in ((one, other), (other, one)):
                found = list(_matches(question, word))
                if len(found) != 1 or _compiled(rf"\b{re.escape(opposite[:7])}").search(question):
                    continue
                (match,) = found
                before, after = CONTEXTS.get(word, ("", ""))
                if not _compiled(rf"(?:{before})$").search(question[: match.start()]):
                    continue
                if not _compiled(after).match(question[match.end() :]):
                    continue
                if word in GENDERED and re.search(r"\b(?:he|she|him|hers?|his)\b", question, flags=re.IGNORECASE):
                    continue
                edited = _replaced(question, match, opposite)
                turned = _turned(edited, match.start() + len(opposite), word)
                if turned is not None:
                    yield turned

    return rule


def _turned(question: str, place: int, word: str) -> str | None:
    """Turn the preposition that belongs to a verb of direction; None where it can't be told which one does.

    Args:
        question: With the verb replaced already.
        place: Where the new verb ends.
        word: The verb that was there.
    """
    if word not in EXPOSED_TO:
        return question
    turn = EXPOSED_TO[word]
    rest = question[place:]
    found = list(re.finditer(r"\b(to|into|onto|from)\b", rest, flags=re.IGNORECASE))
    if not found:
        return question
    match = found[0]
    # "to" before a verb is something else.
    noun = match.group().lower() != "to" or re.match(NOUN_PHRASE, rest[match.end() :])
    if len(found) > 1 or match.group().lower() not in turn or not noun:
        return None
    return question[:place] + rest[: match.start()] + turn[match.group().lower()] + rest[match.end() :]


def _parts(question: str) -> Iterator[str]:
    for match in re.finditer(rf"\b(?:all|every) (?:of )?(?:the )?({THINGS})s?\b", question, flags=re.IGNORECASE):
        yield question[: match.start()] + f"the first {match.group(1)}" + question[match.end() :]
    for match in re.finditer(
        r"\ball (?:of )?(my|our|your|these|those) (?=\w+s(?:$|[?.,]| (?:from|in|on|at|to|with|for|when|if|and)\b))",
        question,
    ):
        yield question[: match.start()] + f"one of {match.group(1)} " + question[match.end() :]


def _within(groups: tuple[tuple[str, ...], ...]) -> Rule:
    def rule(question: str) -> Iterator[str]:
        for group in groups:
            found = [(word, list(_matches(question, word))) for word in group]
            named = [(word, matches) for word, matches in found if matches]
            # A question about two of them compares them.
            if len(named) != 1 or len(named[0][1]) != 1:
                continue
            word, (match,) = named[0]
            before, after = CONTEXTS.get(word, ("", ""))
            if _compiled(rf"(?:{before})$").search(question[: match.start()]) and re.match(
                after, question[match.end() :], flags=re.IGNORECASE
            ):
                yield _replaced(question, match, group[(group.index(word) + 1) % len(group)])

    return rule


def _units(question: str) -> Iterator[str]:
    for group in UNITS:
        for index, word in enumerate(group):
            # Behind a number, in digits or in words; ages and weeks of pregnancy have no other unit.
            pattern = (
                rf"(?<=\d)(\s?){re.escape(word)}(?!\w)"
                rf"|(?<=\b)(?<= ){re.escape(word)}(?![\w'-])"
            )
            for match in _compiled(pattern).finditer(question):
                before, after = question[: match.start()], question[match.end() :]
                if not re.search(rf"(?:\b{NUMBER_WORDS} |\d)$", before, flags=re.IGNORECASE):
                    continue
                if re.match(r"[\s-](?:old|older|younger|pregnant|of age|gestation)\b", after, flags=re.IGNORECASE):
                    continue
                # The largest gives way to the one below it: nobody asks for days where years were meant.
                other = group[index + 1] if index + 1 < len(group) else group[index - 1]
                yield before + (match.group(1) or "") + other + after


def _numbers(question: str) -> Iterator[str]:
    story = STORY.search(question) is not None
    for match in NUMBERS.finditer(question):
        number, before, after = int(match.group()), question[: match.start()], question[match.end() :]
        if re.search(rf"\b{NAMES_WITH_NUMBERS} $", before, flags=re.IGNORECASE) and not after[:1].isalpha():
            # Where there are only two, the other one; else the next.
            other = {1: 2, 2: 1}.get(number, number + 1)
        elif 1900 <= number <= 2100:
            if not re.search(r"\b(?:of|for|year) $", before) or story:
                continue
            other = number + 1
        elif re.match(r"[\s-]?weeks? (?:pregnant|gestation)", after, flags=re.IGNORECASE):
            other = number // 2 if number > 20 else number + 10
        elif re.match(rf"[\s-]?{AGES}", after, flags=re.IGNORECASE):
            other = number + (3 if number < 12 else 10)
        elif re.match(rf"[\s-]?{DURATIONS}", after, flags=re.IGNORECASE):
            if story or number < 2:
                continue
            other = 2 * number
        elif number >= 2 and (
            re.match(rf"[\s-]?{MEASURES}", after, flags=re.IGNORECASE) or before[-1:] in ("$", "€", "£")
        ):
            other = 2 * number
        else:
            continue
        yield before + str(other) + after


def _versions(question: str) -> Iterator[str]:
    # Behind a name that begins with a capital, or a "v"; what a lower-case word follows is counted, not named.
    behind_a_name = r"(?<=[A-Za-z+#] )(\d+)((?:\.\d+)*)(?![\w.]*\d)(?![A-Za-z])(?! [a-z]+s\b)"
    for match in re.finditer(rf"{behind_a_name}|(?<=\b[vV])(\d+)((?:\.\d+)*)(?![\w.]*\d)(?![A-Za-z])", question):
        name = re.search(r"([A-Za-z.+#]+) $", question[: match.start()])
        if name and (not name.group(1)[0].isupper() or name.group(1).lower() in COUNTED):
            continue
        parts = match.group().split(".")
        if len(parts) == 1 and len(parts[0]) == 4:
            if parts[0] not in YEARS_OF_VERSIONS:
                continue
            parts = [YEARS_OF_VERSIONS[parts[0]]]
        else:
            parts[-1] = str(int(parts[-1]) + 1).zfill(len(parts[-1]))
        yield question[: match.start()] + ".".join(parts) + question[match.end() :]


# Words that a number may stand behind without being a version of them.
COUNTED = frozenset(
    ("error", "code", "type", "stage", "section", "chapter", "step", "from", "the", "or", "of", "for", "in", "at", "to")
)


def _negations(question: str) -> Iterator[str]:
    """Yield what leaves out instead of using, and what is to be avoided instead of done.

    A bare "not" is no near miss: whether something can or can't be done is one answer. So only those negations are made
    after which another answer is wanted.
    """
    denied = re.search(r"\bnot\b|n['’]t\b|\bnever\b", question, flags=re.IGNORECASE)
    for pattern, form in NEGATIONS if denied is None else ():
        for match in re.finditer(pattern, question, flags=re.IGNORECASE):
            yield question[: match.start()] + match.expand(form) + question[match.end() :]
    # "Is it covered?" and "is it excluded?" have one answer; "what is covered?" and "what is excluded?" have two.
    if re.match(r"(?:what|which|who|whose)\b", question, flags=re.IGNORECASE):
        yield from _pairs("negation")(question)


def _intents(question: str) -> Iterator[str]:
    for pattern, form in INTENTS:
        match = re.match(pattern, question, flags=re.IGNORECASE)
        if match:
            edited = match.expand(form)
            yield edited[:1].upper() + edited[1:] if question[:1].isupper() else edited


RULES: dict[str, Rule] = {
    "number": _numbers,
    "unit": _units,
    "version": _versions,
    "entity": _within(ENTITIES),
    "place": _within((PLACES,)),
    "intent": _intents,
    "part_whole": _parts,
    **{kind: _pairs(kind) for kind in PAIRS},
    # Besides its pairs, negation has forms of its own.
    "negation": _negations,
}
