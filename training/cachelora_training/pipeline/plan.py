"""What a pipeline is to make of what, checked before any work is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from cachelora.errors import UsageError

from cachelora_training.domains import domain_named
from cachelora_training.errors import OutputExistsError
from cachelora_training.generate.backends import check_backend
from cachelora_training.generate.queries import read_queries
from cachelora_training.recipe import Recipe

__all__ = ["STAMPS", "Plan", "check_plan", "queries_by_domain"]

STAMPS = "stamps"


@dataclass(frozen=True)
class Plan:
    """Everything that is asked for.

    Attributes:
        domains: Their names, in the order given; one adapter serves them all.
        output: The directory that holds everything.
        recipe: How the adapter is trained.
        queries: The file of raw questions of each domain that has one.
        train_data: Files of rows that are there already, used as they are.
        dev_data: Triplets on which the adapter's strength is chosen.
        test_data: Triplets that measure and calibrate; without them neither is done.
        backend, endpoint, model: Who writes triplets; see :mod:`cachelora_training.generate.backends`.
        samples: How many triplets to ask for in each domain.
        seed: Of the order of questions; the recipe has that of training.
        budgets, confidence: See :func:`cachelora_training.calibrate.calibrate_bundle`.
    """

    domains: tuple[str, ...]
    output: Path
    recipe: Recipe
    queries: dict[str, str]
    train_data: tuple[str, ...] = ()
    dev_data: tuple[str, ...] = ()
    test_data: tuple[str, ...] = ()
    backend: str = "endpoint"
    endpoint: tuple[str, ...] = ()
    model: str | None = None
    samples: int = 1000
    seed: int = 0
    budgets: tuple[float, ...] = (0.05,)
    confidence: float = 0.95


def queries_by_domain(given: Sequence[str], domains: Sequence[str]) -> dict[str, str]:
    """Return the file of each domain from ``NAME=FILE``; with one domain ``FILE`` alone will do.

    Raises:
        UsageError: the name is none of the domains, or has two files.
    """
    found: dict[str, str] = {}
    for item in given:
        name, equals, file = item.partition("=")
        if len(domains) == 1 and not (equals and name == domains[0]):
            name, file = domains[0], item
        if name not in domains or not file:
            raise UsageError(f"--queries {item}: NAME=FILE was expected, with NAME one of {', '.join(domains)}")
        if name in found:
            raise UsageError(f"--queries {item}: {name!r} has {found[name]} already; put its questions into one file")
        found[name] = file
    return found


def check_plan(plan: Plan, *, force: bool) -> None:
    """Refuse a plan that can't succeed.

    Raises:
        UsageError: nothing to train on, a domain or backend that is not known, or export is not installed.
        RowsError: questions can't be read.
        OutputExistsError: the directory holds something that no pipeline made.
    """
    if not plan.domains:
        raise UsageError("--domain: at least one was expected")
    for name in plan.domains:
        if plan.domains.count(name) > 1:
            raise UsageError(f"--domain {name}: is given twice")
        if name not in plan.queries and not plan.train_data:
            raise UsageError(f"domain {name!r}: nothing to train on; give --queries {name}=FILE or --train-data FILE")
    if plan.queries:
        check_backend(plan.backend, plan.model, plan.endpoint)
    for name, file in plan.queries.items():
        domain_named(name)
        read_queries(file)
    # Training may take hours; nobody wants to learn afterwards that the next stage is not there.
    if find_spec("cachelora_export") is None:
        raise UsageError("the export stage is not installed here: pip install cachelora-export")
    if plan.output.exists() and not plan.output.is_dir():
        raise OutputExistsError(f"{plan.output}: is a file, a directory will be written")
    ours = (plan.output / STAMPS).is_dir()
    if plan.output.is_dir() and any(plan.output.iterdir()) and not ours and not force:
        raise OutputExistsError(f"{plan.output}: is there and no pipeline's; choose another output or give --force")
