"""What makes a near miss in each domain: the checked content of domains.yaml."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated

import yaml
from cachelora.errors import UsageError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from cachelora_training.errors import RecipeError
from cachelora_training.rows import KINDS

__all__ = ["Domain", "WorkedExample", "domain_named", "read_domains"]

SHIPPED = Path(__file__).parent / "domains.yaml"


class Checked(BaseModel):
    """Refuses keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def known_kind(kind: str) -> str:
    """Return ``kind`` if the vocabulary has it."""
    if kind not in KINDS:
        raise ValueError(f"one of {', '.join(KINDS)} was expected")
    return kind


class WorkedExample(Checked):
    """A question, one with the same answer, and a near miss with its kind."""

    question: str
    positive: str
    negative: str
    kind: str

    _kind = field_validator("kind")(known_kind)


class Domain(Checked):
    """One domain of questions.

    Attributes:
        same_answer: When one stored answer serves two questions.
        near_miss: What makes a close question need another answer.
        kinds: The kinds of near miss to ask for, most useful first.
        examples: Worked ones.
    """

    same_answer: Annotated[str, Field(min_length=20)]
    near_miss: Annotated[str, Field(min_length=20)]
    kinds: Annotated[tuple[str, ...], Field(min_length=3)]
    examples: Annotated[tuple[WorkedExample, ...], Field(min_length=2)]

    @field_validator("kinds")
    @classmethod
    def _kinds(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(kinds)) < len(kinds):
            raise ValueError("each kind once")
        return tuple(known_kind(kind) for kind in kinds)


def read_domains(path: Path = SHIPPED) -> dict[str, Domain]:
    """Return the domains of a YAML file by name.

    Raises:
        RecipeError: with file and key, if the file is not of the expected form.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise RecipeError(f"{path}: {error}") from error
    if not isinstance(found, dict) or not found:
        raise RecipeError(f"{path}: domains by name were expected")
    domains: dict[str, Domain] = {}
    problems: list[str] = []
    for name, settings in found.items():
        try:
            domains[str(name)] = Domain.model_validate(settings)
        except ValidationError as error:
            problems += [
                f"{path}: {'.'.join(str(part) for part in (name, *problem['loc']))}: {problem['msg']}"
                for problem in error.errors()
            ]
    if problems:
        raise RecipeError("\n".join(problems))
    return domains


@cache
def _shipped() -> dict[str, Domain]:
    return read_domains()


def domain_named(name: str, path: Path | None = None) -> Domain:
    """Return a domain of the shipped file, or of ``path``.

    Raises:
        UsageError: there is none of that name; the message lists those there are.
    """
    domains = _shipped() if path is None else read_domains(path)
    if name not in domains:
        raise UsageError(f"domain {name!r} is not known; there are: {', '.join(sorted(domains))}")
    return domains[name]
