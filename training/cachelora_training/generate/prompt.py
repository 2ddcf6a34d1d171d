"""What the model is told, and the form of its answer."""

from __future__ import annotations

import hashlib
import json
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from cachelora_training.domains import Domain

__all__ = [
    "ANSWER_SCHEMA",
    "OPINION_SCHEMA",
    "Answer",
    "Opinion",
    "answer_of",
    "messages_for",
    "opinion_messages",
    "opinion_of",
    "prompt_hash",
]

Form = TypeVar("Form", bound=BaseModel)

KINDS_EXPLAINED = {
    "entity": "another thing of the same type (drug, product, person's role, library)",
    "number": "another number, dose, amount or count",
    "unit": "another unit of measure",
    "negation": "what is not, may not or does not, instead of what is, may or does (or the other way round)",
    "direction": "the opposite direction or the swapped roles (raise or lower, from or to, giver or taker)",
    "time": "another moment (before instead of after, start instead of end, another date)",
    "population": "another group of people",
    "place": "another place or jurisdiction",
    "version": "another version or edition",
    "part_whole": "a part instead of the whole, one instead of all (or the other way round)",
    "intent": "another wish about the same thing (how instead of why, cause instead of remedy)",
    "condition": "another condition or circumstance",
    "other": "another detail on which the answer depends",
}


class Answer(BaseModel):
    """What the model writes for one question."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    positive: str
    negative: str


class Opinion(BaseModel):
    """What the model thinks of a finished row."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    positive_same: bool
    negative_same: bool

    @property
    def agrees(self) -> bool:
        """Whether it confirms the row's labels."""
        return self.positive_same and not self.negative_same


def _schema(name: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "json_schema",
        "json_schema": {
            "name": name,
            "strict": True,
            "schema": {
                "type": "object",
                "properties": properties,
                "required": list(properties),
                "additionalProperties": False,
            },
        },
    }


ANSWER_SCHEMA = _schema("triplet", {"positive": {"type": "string"}, "negative": {"type": "string"}})
OPINION_SCHEMA = _schema("opinion", {"positive_same": {"type": "boolean"}, "negative_same": {"type": "boolean"}})


def _instructions(domain: Domain) -> str:
    return (
        "You write test questions for a cache that serves one stored answer to every question with the same meaning.\n"
        "Given a question, write two more:\n"
        "positive: another wording of exactly the same question. The same answer must serve both completely. Change "
        "the words and the shape of the sentence; do not add or drop a condition.\n"
        "negative: a near miss. It looks almost the same, but a truthful answer to the question would be wrong or "
        "useless for it. Change as little as possible.\n"
        f"Same answer here means: {domain.same_answer}\n"
        f"A near miss here is: {domain.near_miss}\n"
        'Reply with one JSON object only: {"positive": "...", "negative": "..."}'
    )


def _request(question: str, kind: str) -> str:
    return f"Question: {question}\nKind of near miss: {kind}, that is {KINDS_EXPLAINED[kind]}"


def messages_for(domain: Domain, question: str, kind: str) -> list[dict[str, str]]:
    """Return the chat that asks for a positive and a near miss of one kind, with the domain's worked examples."""
    messages = [{"role": "system", "content": _instructions(domain)}]
    for example in domain.examples:
        answer = {"positive": example.positive, "negative": example.negative}
        messages += [
            {"role": "user", "content": _request(example.question, example.kind)},
            {"role": "assistant", "content": json.dumps(answer, ensure_ascii=False)},
        ]
    return [*messages, {"role": "user", "content": _request(question, kind)}]


def prompt_hash(domain: Domain) -> str:
    """Return the SHA-256 of everything that is the same for all questions of a domain."""
    text = json.dumps([messages_for(domain, "", kind) for kind in domain.kinds], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def opinion_messages(anchor: str, positive: str, negative: str) -> list[dict[str, str]]:
    """Return the chat that asks for a second opinion on a triplet."""
    return [
        {
            "role": "system",
            "content": (
                "You judge whether one truthful, complete answer to a question also answers another question. Be "
                "strict: another person, number, place, time, direction or condition means no.\n"
                'Reply with one JSON object only: {"positive_same": true or false, "negative_same": true or false}'
            ),
        },
        {"role": "user", "content": f"Question: {anchor}\npositive: {positive}\nnegative: {negative}"},
    ]


def answer_of(content: str) -> Answer | None:
    """Return the answer in a reply, or None where there is none.

    Servers without structured output may wrap the object in prose or in a code block, and models that think aloud write
    drafts before it: the last whole answer counts.
    """
    answer = _last(content, Answer)
    if answer is None:
        return None
    positive, negative = (" ".join(text.split()) for text in (answer.positive, answer.negative))
    return Answer(positive=positive, negative=negative) if positive and negative else None


def opinion_of(content: str) -> Opinion | None:
    """Return the second opinion in a reply, or None where there is none."""
    return _last(content, Opinion)


def _last(content: str, form: type[Form]) -> Form | None:
    decoder = json.JSONDecoder()
    for start in reversed([place for place, character in enumerate(content) if character == "{"]):
        try:
            return form.model_validate(decoder.raw_decode(content, start)[0], strict=True)
        except ValueError:  # no JSON, or of another form
            continue
    return None
