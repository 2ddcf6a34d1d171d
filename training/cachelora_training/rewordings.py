"""The same question, typed by somebody else in a hurry: small changes that leave its meaning alone.

Hand-written positives share few words with their anchors and near misses share most, so a model could learn that shared
words mean another answer. Positives that differ in form only, beside near misses that differ in one word of meaning,
take that way out: what counts is which word changed.
"""

from __future__ import annotations

import random
import re

__all__ = ["light_rewording"]

LEADS = ("please tell me: ", "quick question: ", "hi, ", "hello - ", "i was wondering, ", "question: ")
TAILS = (" please", " thanks", "??", " pls", " - thank you")
# A phrase and another of the same meaning; whole words.
PHRASES = (
    (r"^how do i ", "how can i "),
    (r"^how can i ", "how do i "),
    (r"^how to ", "how do i "),
    (r"^how do i ", "what is the way to "),
    (r"^what is ", "what's "),
    (r"^what's ", "what is "),
    (r"^what are ", "tell me what are "),
    (r"^can i ", "may i "),
    (r"^can i ", "am i able to "),
    (r"^is it ok to ", "may i "),
    (r"^should i ", "ought i to "),
    (r"^why does ", "what makes "),
    (r"\bi am\b", "i'm"),
    (r"\bi'm\b", "i am"),
    (r"\bdo not\b", "don't"),
    (r"\bdon't\b", "do not"),
    (r"\bcannot\b", "can't"),
    (r"\bcan't\b", "cannot"),
    (r"\bit is\b", "it's"),
    (r"\bwant to\b", "would like to"),
    (r"\bneed to\b", "have to"),
    (r"\bhave to\b", "need to"),
    (r"\bmy\b", "our"),
    (r"\bi\b", "we"),
)
LITTLE_WORDS = re.compile(r"\b(?:the|a|an|do|does|is|are)\b ", flags=re.IGNORECASE)


def light_rewording(question: str, dice: random.Random) -> str:
    """Return the question after one to three small changes, never the question itself.

    Args:
        question: Any text.
        dice: Where chance comes from; the same state gives the same rewording.
    """
    changed = question
    for _ in range(dice.choice((1, 2, 2, 3))):
        changed = dice.choices(
            (_phrase, _without_little_words, _mistyped, _with_lead, _with_tail, _hurried), (30, 20, 15, 15, 10, 10)
        )[0](changed, dice)
    return changed if changed != question else _hurried(question, dice) + " please"


def _phrase(text: str, dice: random.Random) -> str:
    found = [(pattern, other) for pattern, other in PHRASES if re.search(pattern, text, flags=re.IGNORECASE)]
    if not found:
        return text
    pattern, other = dice.choice(found)
    return re.sub(pattern, other, text, count=1, flags=re.IGNORECASE)


def _without_little_words(text: str, _: random.Random) -> str:
    return LITTLE_WORDS.sub("", text) if len(text.split()) > 5 else text


def _mistyped(text: str, dice: random.Random) -> str:
    words = text.split()
    long = [index for index, word in enumerate(words) if len(word) >= 6 and word.isalpha()]
    if not long:
        return text
    index = dice.choice(long)
    word = words[index]
    place = dice.randrange(1, len(word) - 2)
    swapped = word[place + 1] + word[place]
    words[index] = word[:place] + dice.choice((swapped, word[place + 1])) + word[place + 2 :]
    return " ".join(words)


def _with_lead(text: str, dice: random.Random) -> str:
    return dice.choice(LEADS) + text[:1].lower() + text[1:]


def _with_tail(text: str, dice: random.Random) -> str:
    return text.rstrip("?. ") + dice.choice(TAILS)


def _hurried(text: str, _: random.Random) -> str:
    return text.lower().rstrip("?.! ")
