"""The stages in order."""

from __future__ import annotations

import shutil
from typing import Any

from cachelora.errors import UsageError
from cachelora.terminal import note
from filelock import FileLock, Timeout

from cachelora_training.bases import resolve_base
from cachelora_training.errors import LeakError
from cachelora_training.examples import read_examples
from cachelora_training.pipeline.plan import STAMPS, Plan, check_plan
from cachelora_training.pipeline.results import describe_adapter
from cachelora_training.pipeline.stages import Done, Stages, perform
from cachelora_training.questions import leaks
from cachelora_training.rows import read_triplets

__all__ = ["run_pipeline"]


def run_pipeline(plan: Plan, *, force: bool = False) -> dict[str, Any]:
    """Do what is left to do of a plan; a run that was killed continues when it is given again.

    Args:
        plan: What is to be made.
        force: Forget what is done, and write into a directory that no pipeline made.

    Returns:
        The stages with what was done and what reused, paths of adapter and bundle, and with test data the measures
        by domain ``before`` and ``after``.

    Raises:
        UsageError, OutputExistsError: the plan can't be carried out here; another run works on the directory.
        RowsError, LeakError, BaseModelError, AdapterError, HubError, EndpointError, ExportError, ParityError: as the
            stages do.
    """
    check_plan(plan, force=force)
    base = resolve_base(plan.recipe.base_model)
    given = _read(plan.train_data, plan)
    (plan.output / STAMPS).mkdir(parents=True, exist_ok=True)
    try:
        # The system takes the lock away from a process that is killed.
        with FileLock(plan.output / STAMPS / ".lock", timeout=0):
            if force:
                _forget(plan)
            _sweep(plan)
            return _run(plan, Stages(plan, base), given)
    except Timeout as error:
        raise UsageError(f"{plan.output}: another pipeline is at work there; wait for it") from error


def _run(plan: Plan, stages: Stages, domains_given: set[str]) -> dict[str, Any]:
    done: list[Done] = []

    def finished(found: Done) -> Done:
        done.append(found)
        return found

    for name in plan.queries:
        finished(perform(stages.generate(name), plan.output))
    for name in plan.domains:
        if name not in plan.queries and name not in domains_given:
            note(f"domain {name}: no row of the training data names it")
    if plan.test_data:
        # Before training, and also when nothing has to be trained: it may be the test data that is new.
        _refuse_leaks(plan, stages.train_data)
    trained = finished(perform(stages.train(), plan.output))
    measured = finished(perform(stages.evaluate(), plan.output)).facts if plan.test_data else None
    describe_adapter(stages.adapter, stages.base, plan.recipe, trained.facts, measured)
    finished(perform(stages.export(), plan.output))
    if plan.test_data:
        finished(perform(stages.calibrate(), plan.output))
    facts: dict[str, Any] = {
        "output": str(plan.output),
        "domains": list(plan.domains),
        "adapter": str(stages.adapter),
        "bundle": str(stages.bundle),
        "stages": [
            {
                "stage": one.name,
                "status": "reused" if one.reused else "done",
                "seconds": one.seconds,
                "output": str(one.output),
            }
            for one in done
        ],
    }
    if measured is not None:
        facts |= {"before": measured["base"]["by_domain"], "after": measured["adapter"]["by_domain"]}
    return facts


def _read(train_data: tuple[str, ...], plan: Plan) -> set[str]:
    """Read everything that is given, so that bad rows show at once; return the domains to train on."""
    for triplets in (plan.dev_data, plan.test_data):
        if triplets:
            read_triplets(triplets)
    return {row.domain for row in read_examples(train_data).rows} if train_data else set()


def _refuse_leaks(plan: Plan, train_data: list[str]) -> None:
    # The strength is chosen on the dev data, so they are seen as well.
    seen = [*read_examples(train_data).rows, *(read_triplets(plan.dev_data) if plan.dev_data else [])]
    found = leaks(seen, read_triplets(plan.test_data))
    if found:
        raise LeakError(
            "\n".join([f"{len(found)} questions are in both training and test data; take them out of one:", *found])
        )


def _forget(plan: Plan) -> None:
    """Delete all stamps, and the replies of unfinished generations."""
    for path in [*(plan.output / STAMPS).glob("*.json"), *(plan.output / "data").glob("*.journal")]:
        path.unlink()


def _sweep(plan: Plan) -> None:
    """Delete the directories that a killed run was about to put in place."""
    for pattern in (".adapter.*.partial", ".adapter.*.replaced", ".bundle.*.partial", ".bundle.*.replaced"):
        for path in plan.output.glob(pattern):
            shutil.rmtree(path)
