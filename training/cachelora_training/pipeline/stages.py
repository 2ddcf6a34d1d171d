"""The stages of a pipeline: what goes into each, what comes out, and which function does the work.

Heavy packages are imported where work is done, so that a run which finds everything done takes no time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cachelora.terminal import note

from cachelora_training.bases import Base
from cachelora_training.directories import write_text_atomically
from cachelora_training.domains import domain_named
from cachelora_training.errors import RowsError
from cachelora_training.generate.backends import make_asker
from cachelora_training.generate.requests import Asker
from cachelora_training.hashing import sha256_of_file
from cachelora_training.pipeline.plan import STAMPS, Plan
from cachelora_training.pipeline.stamps import (
    Stamp,
    digest_of,
    hash_if_there,
    read_stamp,
    why_stale,
    write_stamp,
)
from cachelora_training.rows import local_file

__all__ = ["Done", "Stage", "Stages", "perform"]

MANIFEST = "cachelora.json"
CALIBRATION = "calibration.json"
GRAPH = "model.onnx"
TOKENIZER = "tokenizer.json"
TEMPERATURE = 0.8


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: Of its stamp, and in the table.
        output: Where a person finds the result.
        inputs: All that shapes the outputs, as JSON can hold it.
        digests: Return the SHA-256 of each output as it is now, None for what is missing or can't be read.
        work: Make the outputs, whatever is there; return what there is to say.
    """

    name: str
    output: Path
    inputs: Mapping[str, Any]
    digests: Callable[[], dict[str, str | None]]
    work: Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class Done:
    """A stage whose outputs are there, made by this run or found."""

    name: str
    output: Path
    reused: bool
    seconds: float
    facts: dict[str, Any]


def perform(stage: Stage, root: Path) -> Done:
    """Run a stage unless its stamp and its outputs agree with its inputs."""
    started = time.monotonic()
    place = root / STAMPS / f"{stage.name}.json"
    stamp = read_stamp(place)
    reason = why_stale(stamp, stage.inputs, stage.digests())
    if stamp is not None and reason is None:
        return Done(stage.name, stage.output, True, round(time.monotonic() - started, 1), stamp.facts)
    note(f"{stage.name}: {reason}")
    facts = stage.work()
    outputs = {name: digest for name, digest in stage.digests().items() if digest is not None}
    seconds = round(time.monotonic() - started, 1)
    write_stamp(place, Stamp(stage.name, dict(stage.inputs), digest_of(stage.inputs), outputs, seconds, facts))
    return Done(stage.name, stage.output, False, seconds, facts)


class Stages:
    """The stages of one plan. Each is asked for when those before it are done, because it reads what they wrote."""

    def __init__(self, plan: Plan, base: Base) -> None:
        self.plan = plan
        self.base = base
        self.adapter = plan.output / "adapter"
        self.report = plan.output / "report.json"
        self.bundle = plan.output / "bundle"

    @property
    def train_data(self) -> list[str]:
        """Return everything to train on: what was generated, then what was given."""
        return [*(str(self._generated(name)) for name in self.plan.queries), *self.plan.train_data]

    def generate(self, name: str) -> Stage:
        """Return the stage that makes triplets from the raw questions of a domain."""
        plan, output, domain = self.plan, self._generated(name), domain_named(name)
        by_model = plan.backend != "rules"

        def work() -> dict[str, Any]:
            from cachelora_training.generate.run import Job, generate_from_model, generate_from_rules

            job = Job(
                domain_name=name,
                domain=domain,
                queries=plan.queries[name],
                output=output,
                count=plan.samples,
                seed=plan.seed,
                test_data=plan.test_data,
                force=True,
            )
            if by_model:
                facts = generate_from_model(job, self._asker, model=str(plan.model), temperature=TEMPERATURE)
            else:
                facts = generate_from_rules(job)
            if not facts["written"]:
                refused = ", ".join(f"{reason} {count}" for reason, count in facts["refused"].items()) or "none"
                raise RowsError(
                    f"{plan.queries[name]}: no triplet came of these questions (refused: {refused}); "
                    "give more questions, or another --backend"
                )
            return facts | {"output": str(output.relative_to(plan.output))}

        inputs = {
            "version": version("cachelora-training"),
            "domain": {"name": name, **domain.model_dump(mode="json")},
            "queries": _hashes([plan.queries[name]]),
            "test data": _hashes(plan.test_data),
            "backend": plan.backend,
            # Where a model is served changes nothing about what it writes, so the address is no input.
            **({"model": plan.model, "temperature": TEMPERATURE} if by_model else {}),
            "samples": plan.samples,
            "seed": plan.seed,
        }
        return Stage(f"generate {name}", output, inputs, lambda: self._hashes_of([output]), work)

    def train(self) -> Stage:
        """Return the stage that trains one adapter for all domains.

        Test data are no input: they shape nothing, and `run` looks for leaks whether anything is trained or not.
        """
        plan = self.plan

        def work() -> dict[str, Any]:
            from cachelora_training.train import train_adapter

            return train_adapter(plan.recipe, self.train_data, self.adapter, dev_data=plan.dev_data, force=True)

        inputs = {
            "version": version("cachelora-training"),
            "recipe": plan.recipe.model_dump(mode="json", exclude={"base_model"}),
            "base model": self._base,
            "train data": _hashes(self.train_data),
            "dev data": _hashes(plan.dev_data),
        }
        return Stage("train", self.adapter, inputs, self._adapter_hashes, work)

    def evaluate(self) -> Stage:
        """Return the stage that measures base and adapter on the test data."""
        plan = self.plan

        def work() -> dict[str, Any]:
            from cachelora_training.evaluate import evaluate_models

            facts = evaluate_models(plan.recipe.base_model, [str(self.adapter)], plan.test_data)
            write_text_atomically(self.report, json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
            return facts

        inputs = {
            "version": version("cachelora-training"),
            "base model": self._base,
            "adapter": self._adapter_hashes(),
            "test data": _hashes(plan.test_data),
        }
        return Stage("evaluate", self.report, inputs, lambda: self._hashes_of([self.report]), work)

    def export(self) -> Stage:
        """Return the stage that merges base and adapter into a bundle."""
        plan = self.plan

        def work() -> dict[str, Any]:
            from cachelora_export import export_bundle

            manifest = export_bundle(plan.recipe.base_model, str(self.adapter), self.bundle, force=True)
            return {"fingerprint": manifest.fingerprint, "parity": dict(manifest.parity)}

        inputs = {
            "version": version("cachelora-export"),
            "base model": self._base,
            "adapter": self._adapter_hashes(),
        }
        return Stage("export", self.bundle, inputs, self._exported, work)

    def calibrate(self) -> Stage:
        """Return the stage that finds the bundle's thresholds on the test data."""
        plan = self.plan

        def work() -> dict[str, Any]:
            from cachelora_training.calibrate import calibrate_bundle

            return calibrate_bundle(self.bundle, plan.test_data, budgets=plan.budgets, confidence=plan.confidence)

        inputs = {
            "version": version("cachelora-training"),
            "bundle": self._exported(),
            "test data": _hashes(plan.test_data),
            "budgets": sorted(plan.budgets),
            "confidence": plan.confidence,
        }
        return Stage("calibrate", self.bundle / CALIBRATION, inputs, self._calibrated, work)

    def _generated(self, name: str) -> Path:
        return self.plan.output / "data" / f"{name}.jsonl"

    @cached_property
    def _asker(self) -> Asker:
        # Made once: a model in this process is loaded once for all domains.
        return make_asker(
            self.plan.backend,
            str(self.plan.model),
            self.plan.endpoint,
            seed=self.plan.seed,
            temperature=TEMPERATURE,
        )

    @cached_property
    def _base(self) -> dict[str, Any]:
        base = asdict(self.base)
        files = {
            file.relative_to(self.base.path).as_posix(): sha256_of_file(file)
            for pattern in ("*.json", "*/*.json")
            for file in sorted(self.base.path.glob(pattern))
        }
        return {key: base[key] for key in ("name", "revision", "weights_sha256")} | {"files": files}

    def _adapter_hashes(self) -> dict[str, str | None]:
        """Hash what an encoder reads; the card follows from the stamps and is written by `results`."""
        return self._hashes_of([self.adapter / name for name in ("adapter_config.json", "adapter_model.safetensors")])

    def _exported(self) -> dict[str, str | None]:
        """Hash what export wrote: of the manifest all but the entry that calibration adds to it."""
        manifest = self._manifest()
        if manifest is not None:
            manifest["files"].pop(CALIBRATION, None)
        found = self._hashes_of([self.bundle / GRAPH, self.bundle / TOKENIZER])
        return found | {self._name(self.bundle / MANIFEST): None if manifest is None else digest_of(manifest)}

    def _calibrated(self) -> dict[str, str | None]:
        """Hash the thresholds, and the manifest's entry without which nobody reads them."""
        manifest = self._manifest()
        entry = None if manifest is None else manifest["files"].get(CALIBRATION)
        found = self._hashes_of([self.bundle / CALIBRATION])
        return found | {self._name(self.bundle / MANIFEST): None if entry is None else digest_of(entry)}

    def _manifest(self) -> dict[str, Any] | None:
        try:
            manifest = json.loads((self.bundle / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        usable = isinstance(manifest, dict) and isinstance(manifest.get("files"), dict)
        return manifest if usable else None

    def _name(self, path: Path) -> str:
        return path.relative_to(self.plan.output).as_posix()

    def _hashes_of(self, paths: Sequence[Path]) -> dict[str, str | None]:
        return {self._name(path): hash_if_there(path) for path in paths}


def _hashes(sources: Sequence[str]) -> list[str]:
    """Hash files in their order, which is the order of their rows; another name for the same rows changes nothing."""
    return [sha256_of_file(local_file(source)) for source in sources]
