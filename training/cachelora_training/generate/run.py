"""Generating triplets: plan, ask or edit, keep, filter, write."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cachelora.errors import UsageError
from cachelora.terminal import note

from cachelora_training.directories import write_text_atomically
from cachelora_training.domains import Domain
from cachelora_training.errors import OutputExistsError
from cachelora_training.generate.filters import Filters
from cachelora_training.generate.journal import Journal
from cachelora_training.generate.plan import Sample, plan_samples
from cachelora_training.generate.prompt import (
    ANSWER_SCHEMA,
    OPINION_SCHEMA,
    Answer,
    answer_of,
    messages_for,
    opinion_messages,
    opinion_of,
    prompt_hash,
)
from cachelora_training.generate.queries import read_queries
from cachelora_training.generate.requests import Asked, Asker, Reply
from cachelora_training.generate.rules import RULES, near_miss, rewording
from cachelora_training.hashing import sha256_of_file
from cachelora_training.rows import local_file, read_triplets

__all__ = ["Job", "generate_from_model", "generate_from_rules"]

Row = dict[str, str]
TEXTS = ("anchor", "positive", "negative")
NO_RULE = "no rule of this kind applies"


@dataclass(frozen=True)
class Job:
    """What is to be made of which questions.

    Attributes:
        domain_name, domain: What makes a near miss there.
        queries: File of raw questions.
        output: The JSON Lines file to write; it appears when it is complete.
        count: How many triplets are asked for; filters leave fewer.
        seed: Of the plan, in other words of the order of questions.
        test_data: Triplet files of which no question may come near a row.
        least_positive, most_negative: See :class:`cachelora_training.generate.filters.Filters`.
        force: Replace an existing output.
    """

    domain_name: str
    domain: Domain
    queries: str
    output: Path
    count: int
    seed: int = 0
    test_data: Sequence[str] = field(default=())
    least_positive: float = 0.05
    most_negative: float = 0.999
    force: bool = False

    def check_output(self) -> None:
        """Raise OutputExistsError if the output is there and may not be replaced."""
        if self.output.exists() and not self.force:
            raise OutputExistsError(f"{self.output}: is already there; choose another output or give --force")

    def filters(self) -> Filters:
        """Return fresh filters for this job."""
        return Filters(
            read_triplets(self.test_data) if self.test_data else [],
            least_positive=self.least_positive,
            most_negative=self.most_negative,
        )


def generate_from_model(
    job: Job, ask: Asker, *, model: str, temperature: float, second_opinion: bool = False
) -> dict[str, Any]:
    """Ask a language model for triplets and write those that pass the filters.

    Every reply is kept in ``OUTPUT.journal`` as it arrives. A run that was killed, or whose server failed, continues
    when the same command is given again, and repeats no request that was answered.

    Args:
        job: What is to be made.
        ask: Who answers; see :mod:`cachelora_training.generate.endpoints` and ``offline``.
        model: Its name, recorded with every row.
        temperature: Of its replies.
        second_opinion: Ask the model about each finished row alone, and drop those whose labels it doubts.

    Returns:
        How many were asked for, written and refused for which reason; tokens, seconds, requests by this run.

    Raises:
        RowsError: questions or test data can't be used.
        OutputExistsError: the output is there and may not be replaced.
        UsageError: an unfinished run with other settings is there.
        EndpointError: a server failed for good.
    """
    job.check_output()
    samples = plan_samples(read_queries(job.queries), job.domain.kinds, job.count, seed=job.seed)
    filters = job.filters()
    hashed = prompt_hash(job.domain)
    started = time.monotonic()
    identity = {
        "domain": job.domain_name,
        "queries_sha256": sha256_of_file(local_file(job.queries)),
        "seed": job.seed,
        "model": model,
        "prompt_sha256": hashed,
        "temperature": temperature,
    }
    many = len(samples) / (len({sample.query.text for sample in samples}) * len(job.domain.kinds))
    if many > 1:
        note(f"more samples than questions and kinds of near miss: each is asked for {many:.1f} times")
    journal = Journal(job.output.with_name(f"{job.output.name}.journal"), identity)
    with journal:
        asked_now = _ask_missing(
            [
                Asked(
                    f"sample {sample.number}", messages_for(job.domain, sample.query.text, sample.kind), ANSWER_SCHEMA
                )
                for sample in samples
            ],
            ask,
            journal,
            "generate",
        )
        rows: list[Row] = []
        for sample in samples:
            entry = journal.entries[f"sample {sample.number}"]
            answer = answer_of(entry["content"])
            if answer is None:
                filters.refuse(entry.get("lack") or "no JSON answer")
            elif filters.admit(sample.query.text, answer.positive, answer.negative):
                rows.append(_row(sample, answer, job.domain_name, model=model, prompt=hashed))
        if second_opinion:
            rows, more = _second_opinion(rows, ask, journal, filters)
            asked_now += more
        _write(job.output, rows)
        facts = _facts(job, rows, filters, started) | {
            "requests": asked_now,
            "continued": len(journal.entries) - asked_now,
            "prompt_tokens": sum(entry["prompt_tokens"] for entry in journal.entries.values()),
            "completion_tokens": sum(entry["completion_tokens"] for entry in journal.entries.values()),
        }
        journal.finish()
    return facts


def _ask_missing(requests: list[Asked], ask: Asker, journal: Journal, title: str) -> int:
    """Ask what the journal does not have; return how many requests that were."""
    missing = [asked for asked in requests if asked.key not in journal.entries]
    if len(missing) < len(requests):
        note(f"{len(requests) - len(missing)} of {len(requests)} replies are there already")

    def keep(asked: Asked, reply: Reply) -> None:
        journal.record(asked.key, **asdict(reply))

    if missing:
        ask(missing, keep, title)
    return len(missing)


def _second_opinion(rows: list[Row], ask: Asker, journal: Journal, filters: Filters) -> tuple[list[Row], int]:
    """Keep the rows whose labels the model confirms when it is asked about them alone."""
    requests = [
        Asked(
            "opinion " + hashlib.sha256("\n".join(row[key] for key in TEXTS).encode()).hexdigest(),
            opinion_messages(row["anchor"], row["positive"], row["negative"]),
            OPINION_SCHEMA,
        )
        for row in rows
    ]
    asked_now = _ask_missing(requests, ask, journal, "second opinion")
    kept = []
    for row, asked in zip(rows, requests, strict=True):
        opinion = opinion_of(journal.entries[asked.key]["content"])
        if opinion is None:
            filters.refuse("no JSON opinion")
        elif opinion.agrees:
            kept.append(row)
        else:
            filters.refuse("second opinion disagrees")
    return kept, asked_now


def generate_from_rules(job: Job) -> dict[str, Any]:
    """Make up to ``job.count`` triplets by minimal edits of the questions; the same job gives the same file.

    A question to which no rule applies is passed over, so fewer rows than asked for may come out. ``tried`` is how many
    questions were tried, each with one kind at a time: as many as were written and refused together.

    Raises:
        RowsError, OutputExistsError: as :func:`generate_from_model`.
        UsageError: the domain has no kind of near miss that rules can make.
    """
    job.check_output()
    kinds = [kind for kind in job.domain.kinds if kind in RULES]
    if not kinds:
        raise UsageError(f"domain {job.domain_name!r}: rules know none of its kinds of near miss")
    queries = read_queries(job.queries)
    filters = job.filters()
    started = time.monotonic()
    rows: list[Row] = []
    tried = 0
    # Every question with every kind is the most that rules can make.
    for sample in plan_samples(queries, kinds, len(queries) * len(kinds), seed=job.seed):
        if len(rows) == job.count:
            break
        tried += 1
        negative = near_miss(sample.query.text, sample.kind)
        if negative is None:
            filters.refuse(NO_RULE)
            continue
        answer = Answer(positive=rewording(sample.query.text), negative=negative)
        if filters.admit(sample.query.text, answer.positive, answer.negative):
            rows.append(_row(sample, answer, job.domain_name, model="rules", prompt="-"))
    _write(job.output, rows)
    return _facts(job, rows, filters, started) | {"tried": tried}


def _row(sample: Sample, answer: Answer, domain: str, *, model: str, prompt: str) -> Row:
    return {
        "anchor": sample.query.text,
        "positive": answer.positive,
        "negative": answer.negative,
        "domain": domain,
        "kind": sample.kind,
        "source": sample.query.source,
        "model": model,
        "prompt_sha256": prompt,
    }


def _write(output: Path, rows: list[Row]) -> None:
    write_text_atomically(output, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _facts(job: Job, rows: list[Row], filters: Filters, started: float) -> dict[str, Any]:
    return {
        "output": str(job.output),
        "domain": job.domain_name,
        "asked_for": job.count,
        "written": len(rows),
        "refused": dict(sorted(filters.refused.items())),
        "kinds": dict(sorted(Counter(row["kind"] for row in rows).items())),
        "seconds": round(time.monotonic() - started, 1),
    }
