"""What was measured: directories of JSON files, read and held against each other."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cachelora.errors import UsageError

from cachelora_benchmarks.suite import ABOUT, BENCHMARKS, MACHINE

__all__ = ["Measured", "Results", "read_results"]

Facts = dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """One bundle: the name of its directory, what it is, and the facts by the benchmark's name."""

    name: str
    about: Facts
    facts: dict[str, Facts]

    @property
    def title(self) -> str:
        """What tells this bundle from the others."""
        shape = self.about["architecture"]
        return f"{shape['layers']} layers, {shape['hidden_size']} wide"


@dataclass(frozen=True)
class Results:
    """All bundles that were measured on one machine, from the shallowest to the deepest."""

    machine: Facts
    bundles: list[Measured]


def read_results(directory: Path) -> Results:
    """Read the directories below ``directory`` that ``cachelora bench all`` wrote.

    Raises:
        UsageError: there is none, a file is no JSON object, or two files come from different machines or bundles:
            figures that stand beside each other must be of one machine.
    """
    machines: dict[Path, Facts] = {}
    bundles: list[Measured] = []
    for about_file in sorted(directory.glob(f"*/{ABOUT}")):
        place = about_file.parent
        about = _read(about_file)
        machines[place / MACHINE] = _read(place / MACHINE)
        facts: dict[str, Facts] = {}
        for name in BENCHMARKS:
            file = place / f"{name}.json"
            if not file.is_file():
                continue
            facts[name] = _read(file)
            machines[file] = facts[name]["machine"]
            fingerprint = facts[name].get("bundle", {}).get("fingerprint", about["fingerprint"])
            if fingerprint != about["fingerprint"]:
                raise UsageError(f"{file}: is of another bundle than {about_file}; run `cachelora bench all` again")
        bundles.append(Measured(place.name, about, facts))
    if not bundles:
        raise UsageError(f"{directory}: no directory in it has a {ABOUT}; `cachelora bench all --out` writes one")
    (first, machine), *others = machines.items()
    for file, other in others:
        if other != machine:
            raise UsageError(f"{file}: was measured on another machine than {first}; run `cachelora bench all` again")
    return Results(machine, sorted(bundles, key=lambda found: (found.about["architecture"]["layers"], found.name)))


def _read(path: Path) -> Facts:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: can't be read as JSON: {error}") from None
    if not isinstance(facts, dict):
        raise UsageError(f"{path}: a JSON object was expected")
    return facts
