"""A gate against work that grew unnoticed: instructions of fixed inputs, counted by Valgrind's callgrind.

    python tests/instructions.py PROGRAM BUNDLE            compares with instructions.json beside this file
    python tests/instructions.py PROGRAM BUNDLE --update   writes it anew

PROGRAM is the example ``instructions`` of native/core. It runs with the portable kernel, which Valgrind knows, so the
gate sees tokenizer, scratch memory, attention, norms and the order of work, and none of the vector kernels. Counts
don't depend on how busy the machine is; they do on the compiler, whose version is kept with them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

KEPT = Path(__file__).with_name("instructions.json")
WORK = ("16 tokens", "128 tokens", "batch of 8")
# The same program differs by about a thousandth from run to run: hash tables are seeded anew in each.
TOLERANCE = 0.02
FEW, MANY = 2, 12


def instructions(program: str, bundle: str, work: str) -> int:
    """Return the instructions of embedding ``work``'s texts once."""
    few, many = (_total(program, bundle, work, rounds) for rounds in (FEW, MANY))
    return round((many - few) / (MANY - FEW))


def _total(program: str, bundle: str, work: str, rounds: int) -> int:
    with tempfile.TemporaryDirectory() as directory:
        ran = subprocess.run(
            [
                "valgrind",
                "--tool=callgrind",
                f"--callgrind-out-file={directory}/out",
                program,
                bundle,
                work,
                str(rounds),
            ],
            env=os.environ | {"CACHELORA_KERNEL": "portable"},
            capture_output=True,
            text=True,
        )
    found = re.search(r"Collected : (\d+)", ran.stderr)
    if ran.returncode or not found:
        sys.exit(f"{program} {bundle} '{work}' {rounds}, under valgrind, ended with {ran.returncode}:\n{ran.stderr}")
    return int(found[1])


def main() -> None:
    """Compare, or write anew."""
    program, bundle, *options = sys.argv[1:]
    compiler = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    counted = {work: instructions(program, bundle, work) for work in WORK}
    if options == ["--update"]:
        KEPT.write_text(json.dumps({"rustc": compiler, "instructions": counted}, indent=2) + "\n", encoding="utf-8")
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    changes = {work: counted[work] / kept["instructions"][work] - 1 for work in WORK}
    for work in WORK:
        print(f"{work}: {counted[work]:,} instructions, {changes[work]:+.2%}")
    if kept["rustc"] != compiler:
        print(f"counted with rustc {compiler}, kept with {kept['rustc']}: not compared", file=sys.stderr)
    elif any(abs(change) > TOLERANCE for change in changes.values()):
        sys.exit(f"more than {TOLERANCE:.0%} from {KEPT}; where that is meant, run make instructions and say why")


if __name__ == "__main__":
    main()
